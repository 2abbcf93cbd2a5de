"""The audit's report: one signed JSON and a page in two languages that says nothing which the JSON does not hold.

``described`` (policy, evidence -> ``model.Audit``) -> ``grade`` and ``nist`` (which grade is reached, and why no higher) ->
``picture`` (the zones as a drawing) -> ``page`` (HTML) -> ``files`` (sign, write, verify). ``ways`` and ``words`` hold all texts.
"""
