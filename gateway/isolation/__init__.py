"""Policy to kernel: the networks on the box's ports stay apart, each shows only what the site's policy names, and the box proves it.

Policy: ``policy.py`` (the file, as a value; ``sources.py`` its fragments, ``checks.py`` its faults, ``approval.py`` its signatures) ->
``verdict.py`` (may A reach B, which line says so), ``changes.py`` (who gains, who loses) and ``ruleset.py`` + ``topology.py`` (what the
kernel of each zone must hold). Kernel: ``reconcile.py`` (wanted against observed: actions) -> ``kernel.py`` (``holder.py``, ``nft.py``,
``nfnl`` for rulesets, ``rawlink.py``, ``netns.py``) <- ``enforcer.py`` (keeps them equal, proves each change). Watching: ``bridges`` (what
could join two zones) <- ``sentry.py`` (undoes it, shuts the crossing); ``sampler.py`` (denied packets). ``guard.py`` is the root daemon
around these, ``chronicle.py`` its journal. Evidence (``evidence.py``): ``proof``, ``bridges``, ``host``, ``probe`` -> ``audit.py``, run by
``errand.py`` -> ``dossier.py``, ``report``. Commands: ``cli_policy.py``, ``cli_box.py``. Start at ``policy.py``.
"""
