"""The state of the fleet, from what the boxes tell, and how people and programs see it.

``fleet.py`` (Sparkplug messages -> state, pure) -> ``overview.py`` (state, digests asked for, usage -> what there is to show) ->
``pages.py`` (HTML, Chinese and English), ``figures.py`` (Prometheus). ``rules/`` holds the alerts. Nothing here touches a wire or a disk;
``provisioning/controller`` does.
"""
