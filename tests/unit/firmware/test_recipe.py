"""What an image is made of, and its name."""

from dataclasses import replace

import pytest

from firmware.recipe import FACTORY, LAYERS, RECIPES, digest, folder_name

OF = ("bookworm", "amd64", "Types: deb\n")


def test_the_order_of_packages_does_not_matter():
    """The same image has the same name."""
    turned = replace(FACTORY, packages=tuple(reversed(FACTORY.packages)))

    assert digest(turned, *OF) == digest(FACTORY, *OF)


@pytest.mark.parametrize(
    "other",
    [
        replace(FACTORY, packages=(*FACTORY.packages, "nano")),
        replace(FACTORY, files=()),
        replace(FACTORY, disabled=()),
        replace(FACTORY, name="other"),
    ],
)
def test_whatever_changes_an_image_changes_its_name(other):
    """A cached image is never taken for another recipe's."""
    assert digest(other, *OF) != digest(FACTORY, *OF)


@pytest.mark.parametrize("of", [("trixie", *OF[1:]), (OF[0], "arm64", OF[2]), (*OF[:2], "Types: deb deb-src\n")])
def test_the_machine_counts_too(of):
    """Another suite, architecture or mirror gives another image."""
    assert digest(FACTORY, *of) != digest(FACTORY, *OF)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=lambda layer: layer.name)
def test_a_layer_follows_the_image_below_it(layer):
    """A new factory image gives new layers: an overlay above another lower folder is undefined."""
    moved = replace(layer, below=replace(FACTORY, packages=("systemd",)))

    assert layer.below is FACTORY
    assert digest(moved, *OF) != digest(layer, *OF)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_name_fits_overlay_s_options(recipe):
    """No colon, no comma, no blank."""
    assert folder_name(recipe, *OF).replace("-", "").isalnum()


def test_no_operator_s_key_and_no_password_in_the_factory_image():
    """The customer's key is put in when a box is made, and a password opens nothing."""
    files = dict(FACTORY.files)

    assert not any("authorized_keys" in name for name in files)
    assert "PasswordAuthentication no" in files["etc/ssh/sshd_config.d/10-headgate.conf"]
