"""The Merkle tree and its proofs against RFC 6962's definitions and known roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.journal import proofs, verify
from appliance.journal.proofs import Frontier, leaf_hash, node_hash

# Entries, roots and proofs of the reference implementation's tests (certificate-transparency, merkletree/merkle_tree_test.cc).
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {  # (index, size): inclusion
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
ONWARD = {  # (old, new): consistency
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


def defined(leaves: list[bytes]) -> bytes:
    """Return the tree head as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(defined(leaves[:split]), defined(leaves[split:]))


def frontier(leaves: list[bytes]) -> Frontier:
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree


def complete(leaves: list[bytes]):
    return lambda level, index: defined(leaves[index << level : (index + 1) << level])


def many(size: int) -> list[bytes]:
    return [leaf_hash(bytes([n])) for n in range(size)]


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    """Writer and verifier, who share no code here, both have the roots of the reference implementation."""
    assert frontier(LEAVES[:size]).root.hex() == ROOTS[size - 1]
    tree = verify.Tree()
    tree.add(b"".join(LEAVES))
    assert tree.root(size).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_known_inclusions(index: int, size: int) -> None:
    """The proofs that an entry is there are those of the reference implementation."""
    path = proofs.inclusion(index, size, complete(LEAVES))
    assert [one.hex() for one in path] == PATHS[index, size]
    assert proofs.is_included(LEAVES[index], index, size, bytes.fromhex(ROOTS[size - 1]), path)


@pytest.mark.parametrize(("old", "new"), ONWARD)
def test_known_consistencies(old: int, new: int) -> None:
    """The proofs that a tree goes on are those of the reference implementation."""
    path = proofs.consistency(old, new, complete(LEAVES))
    assert [one.hex() for one in path] == ONWARD[old, new]
    roots = (bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]))
    assert proofs.is_consistent(old, roots[0], new, roots[1], path)


@given(st.integers(0, 70), st.integers(0, 70))
def test_the_frontier_gives_the_defined_root_and_grows_from_a_copy(size: int, more: int) -> None:
    """For any size, and the empty tree too; the verifier's tree has every root before."""
    leaves = many(size + more)
    tree, whole = frontier(leaves[:size]), verify.Tree()
    longer = tree.copy()
    for leaf in leaves[size:]:
        longer.add(leaf)
    whole.add(b"".join(leaves[:size]))
    whole.add(b"".join(leaves[size:]))
    assert tree.root == defined(leaves[:size]) == whole.root(size)
    assert longer.root == defined(leaves) == whole.root(size + more)
    assert whole.root(size + more + 1) == b""


@given(st.data())
def test_every_inclusion_holds_and_nothing_else_passes(data: st.DataObject) -> None:
    """The proof of an entry leads to the root; for another entry, place, size or with a hash more, less or altered it does not."""
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    leaves = many(size)
    path, root = proofs.inclusion(index, size, complete(leaves)), defined(leaves)
    assert proofs.is_included(leaves[index], index, size, root, path)
    assert not proofs.is_included(leaf_hash(b"other"), index, size, root, path)
    assert not proofs.is_included(leaves[index], index, size, root, [*path, bytes(32)])
    other = data.draw(st.integers(0, size))
    assert other == index or not proofs.is_included(leaves[index], other, size, root, path)
    if path:
        assert not proofs.is_included(leaves[index], index, size, root, path[1:])
        assert not proofs.is_included(leaves[index], index, size, root, [node_hash(path[0], root), *path[1:]])


@given(st.data())
def test_every_consistency_holds_and_no_fork_passes(data: st.DataObject) -> None:
    """The proof shows that the new tree goes on from the old one; for any other root of either it shows nothing."""
    size = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(0, size))
    leaves = many(size)
    path, before, after = proofs.consistency(old, size, complete(leaves)), defined(leaves[:old]), defined(leaves)
    assert proofs.is_consistent(old, before, size, after, path)
    forged = defined([leaf_hash(b"other"), *leaves[1:]])
    assert old == 0 or not proofs.is_consistent(old, before, size, forged, path)
    assert not proofs.is_consistent(old, leaf_hash(b"other"), size, after, path)
    assert not proofs.is_consistent(old, before, size, after, [*path, bytes(32)])
    if path:
        assert not proofs.is_consistent(old, before, size, after, path[:-1])
        assert not proofs.is_consistent(old, before, size, after, path[1:])


@pytest.mark.parametrize(("index", "size"), [(1, 1), (-1, 3), (0, 0)])
def test_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    """Asked for an entry beyond the tree, it says so."""
    with pytest.raises(ValueError, match="no record"):
        proofs.inclusion(index, size, complete(LEAVES))
    with pytest.raises(ValueError, match="go on"):
        proofs.consistency(size + 1, size, complete(LEAVES))
