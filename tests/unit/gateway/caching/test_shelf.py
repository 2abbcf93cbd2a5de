import asyncio
from dataclasses import replace

import pytest

from appliance.runtime.errors import Refused
from gateway.caching.disk import Disk
from gateway.caching.kept import Kept
from gateway.caching.shelf import HEAD, MOST_VARIANTS, Shelf, tags
from gateway.caching.stored import Stored


def stored(one: str, key: str = "", size: int = 10, **given) -> Stored:
    fields = given.pop("fields", ())
    return Stored(key or f"h/{one}", 200, "OK", fields, 1.0, 1.0, size, ((0, size),), id=one, **given)


def test_what_was_not_used_for_longest_goes_first():
    shelf = Shelf(most_bytes=3 * (10 + HEAD))
    for one in "abc":
        assert shelf.put(stored(one)) == []
    shelf.use(stored("a"))
    assert shelf.put(stored("d")) == ["b"]
    assert shelf.bytes == 3 * (10 + HEAD)
    assert shelf.find("h/b") == []


def test_a_variant_takes_the_place_of_the_same_one_alone():
    shelf = Shelf()
    shelf.put(stored("a", "h/k", vary=(("foo", "1"),)))
    shelf.put(stored("b", "h/k", vary=(("foo", "2"),)))
    assert shelf.put(stored("c", "h/k", vary=(("foo", "1"),))) == ["a"]
    assert {one.id for one in shelf.find("h/k")} == {"b", "c"}


def test_variants_of_one_key_are_bounded():
    shelf = Shelf()
    for number in range(3 * MOST_VARIANTS):
        shelf.put(stored(f"v{number}", "h/k", vary=(("foo", str(number)),)))
    assert len(shelf.find("h/k")) <= MOST_VARIANTS


def test_tags_are_exact():
    shelf = Shelf()
    shelf.put(stored("a", fields=(("Cache-Tag", "news, tv"),)))
    shelf.put(stored("b", fields=(("Surrogate-Key", "newsroom tv"),)))
    assert [one.id for one in shelf.chosen(["news"])] == ["a"]
    assert {one.id for one in shelf.chosen(["tv"])} == {"a", "b"}
    assert shelf.chosen(["new"]) == shelf.chosen(["n.*"]) == []
    assert tags([("Cache-Tag", "a"), ("Surrogate-Key", "b a")]) == ["a", "b"]


async def _with(folder, work):
    async with asyncio.TaskGroup() as tasks:
        kept = Kept(Disk(folder), Shelf(), tasks)
        result = await work(kept)
    await kept.close()
    return result


def _put(kept: Kept, key: str, data: bytes, **given) -> str:
    one, body = kept.create(0)
    body.write(data)
    body.end()
    kept.put(stored(one, key, len(data), **given))
    return one


def test_what_is_kept_is_found_after_a_restart_and_what_was_purged_is_not(tmp_path):
    async def first(kept):
        _put(kept, "h/a/1", b"one", fields=(("Cache-Tag", "x"), ("Vary", "foo")), vary=(("foo", "1"),))
        _put(kept, "h/a/2", b"two")
        _put(kept, "h/b", b"three")
        assert await kept.purge(prefix="h/a/2") == 1
        assert await kept.purge(key="h/b", soft=True) == 1

    async def second(kept):
        (one,), (two,) = kept.shelf.find("h/a/1"), kept.shelf.find("h/b")
        assert kept.shelf.find("h/a/2") == []
        assert kept.open(one).read(0, 10) == b"one"
        assert one.vary == (("foo", "1"),)
        assert two.soft
        assert await kept.purge(["x"]) == 1
        return len(kept.shelf)

    asyncio.run(_with(tmp_path / "web", first))
    assert asyncio.run(_with(tmp_path / "web", second)) == 1


def test_bodies_without_a_row_and_rows_without_a_whole_body_are_cleared_at_the_start(tmp_path):
    async def first(kept):
        return _put(kept, "h/a", b"whole"), _put(kept, "h/b", b"torn off"), kept.create(0)[0]

    whole, torn, left = asyncio.run(_with(tmp_path, first))
    (tmp_path / torn).write_bytes(b"torn")

    async def second(kept):
        return [one.id for one in kept.shelf.chosen(prefix="h/")]

    assert asyncio.run(_with(tmp_path, second)) == [whole]
    assert not (tmp_path / torn).exists()
    assert not (tmp_path / left).exists()


def test_a_damaged_table_is_begun_anew(tmp_path):
    (tmp_path / "index.db").write_bytes(b"no table" * 1000)

    async def work(kept):
        _put(kept, "h/a", b"one")
        return len(kept.shelf)

    assert asyncio.run(_with(tmp_path, work)) == 1


def test_what_is_purged_while_it_comes_is_not_kept(tmp_path):
    async def work(kept):
        by_key, by_tag, unknown = kept.begin("h/a"), kept.begin("h/b"), kept.begin("h/c")
        by_tag.fields = (("Cache-Tag", "x"),)
        other = kept.begin("h/d")
        other.fields = (("Cache-Tag", "xy"),)
        await kept.purge(["x"], key="h/a")
        return [one.spoiled for one in (by_key, by_tag, unknown, other)]

    assert asyncio.run(_with(tmp_path, work)) == [True, True, True, False]


def test_a_stored_response_is_equal_whatever_its_file_is_called():
    assert replace(stored("a", "h/k"), id="b") == stored("a", "h/k")


def test_a_disk_that_takes_no_rows_ends_nothing_and_a_purge_says_so(tmp_path):
    async def work(kept):
        _put(kept, "h/a", b"one")
        await kept.purge(key="h/none")
        kept._disk._worker.submit(lambda: kept._disk._open.execute("PRAGMA query_only=ON")).result()
        _put(kept, "h/b", b"two")
        with pytest.raises(Refused) as refused:
            await kept.purge(key="h/a")
        assert refused.value.reason == "cache-disk"
        return len(kept.shelf)

    assert asyncio.run(_with(tmp_path, work)) == 1
