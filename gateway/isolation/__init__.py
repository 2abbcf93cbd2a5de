"""Policy to kernel: the networks on the box's ports stay apart, and each shows only the services that the site's policy names.

``policy.py`` (the file, as a value; ``checks.py`` finds what is wrong in it) -> ``verdict.py`` (may A reach B, and which line says so) and
``ruleset.py`` + ``topology.py`` (what the kernel of each zone must hold) -> ``reconcile.py`` (wanted against observed: actions) ->
``kernel.py`` (netlink, namespaces, ``nft``) <- ``enforcer.py`` (keeps them equal) <- ``guard.py`` (the root daemon).
``audit.py`` compares the live kernel with a policy. Commands: ``cli_policy.py``, ``cli_box.py``. Start at ``policy.py``.
"""
