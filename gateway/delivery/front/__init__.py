"""nginx in front of delivery: it serves hits from the store by itself, and asks delivery whether it may.

``configuration`` (pure) writes nginx's configuration from the policy, and ``daemon`` (``headgate run front``) keeps nginx running with it.
For each session nginx asks delivery ``/-/permit``, for each object ``/-/object`` (``asked``), and keeps the answers for some seconds.
What it then opens it reaches through a link of ``trees`` alone, which exists only while the release may be served: an answer that was
kept gives nothing any more once the link is gone. With nginx's Lua module its workers remember the answers themselves
(``templates/quick.lua``), until they are recalled (``recalls``). All else goes on to delivery, which answers as it does without nginx;
``seen`` is what nginx tells of the screen. ``doubts`` looks at what nginx did not send whole.
"""
