"""What was delivered, exactly: every byte of content that left, once, whatever is killed meanwhile.

``meter`` (``begin``, ``add``) notes what runs in ``slots`` and counts what is over in a ``window`` of some seconds, both files in
memory that outlive the process. ``stream`` asks the kernel how much of a connection's content left. A window that is over becomes
``records`` (pure), which ``handing`` gives to the exchange; ids come from the window, so that giving twice is giving once.
``survivor`` is a second process that reads the connections of a killed one; ``recover`` is what it and every start do.
"""
