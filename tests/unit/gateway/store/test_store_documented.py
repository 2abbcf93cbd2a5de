"""What docs/releases.md lets an operator write about the store is what a policy takes."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gateway.isolation.policy import Policy

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize("page", ["releases.md", "releases.zh.md"])
def test_the_example_is_a_policy(page):
    """Every setting of the store stands in the example but the quarantine, which has its own chapter, and each value is taken."""
    (text,) = re.findall(r"```yaml\n(store:.*?)```", (DOCS / page).read_text(), re.DOTALL)
    told = YAML(typ="safe", pure=True).load(text)["store"]
    store = Policy.model_fields["store"].annotation
    assert store.model_validate(told)
    assert set(told) | {"quarantine"} == set(store.model_fields)
