"""Live channels: segments and playlists that arrive as they are made, each signed by the packager whose key the channel's release names.

At the packager: ``cli`` -> ``follow`` (what ffmpeg finished) -> ``names`` (what a playlist names) -> ``outlet`` (the origin's folder).
At the box: ``signing`` (pure: fields <-> signature) -> ``freshness`` (pure: is it of now?).
"""
