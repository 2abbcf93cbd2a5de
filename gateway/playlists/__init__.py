"""What players read before they play (pure): HLS, its low-latency form and DASH, with what of them a class of screens is shown.

``screens`` (big or small) ; ``ladder`` (master playlist or MPD -> the renditions of a class) ; ``hidden`` (the files of the others) ;
``blocking`` (where a low-latency playlist stands, and what a player waits for) ; ``delta`` (it without what a player has already) ;
``order`` (which segment comes after which).
"""
