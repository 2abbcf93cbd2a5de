// Plays ?url= with ?player= (hls, shaka, dash) and its ?options=, and tells the test four times a second how that goes.
const query = new URLSearchParams(location.search);
const video = document.querySelector("video");
const state = { time: 0, frames: 0, stalls: 0, stalled: [], ended: false, errors: [], heights: [] };
let played = false;

// Seconds of content from where it plays to the first gap.
function ahead() {
  for (let n = 0; n < video.buffered.length; n += 1) {
    if (video.buffered.start(n) <= video.currentTime + 0.1 && video.currentTime < video.buffered.end(n)) return video.buffered.end(n) - video.currentTime;
  }
  return 0;
}

video.addEventListener("playing", () => { played = true; });
video.addEventListener("timeupdate", () => {
  if (video.videoHeight && state.heights.at(-1) !== video.videoHeight) state.heights.push(video.videoHeight);
});
video.addEventListener("waiting", () => {
  // Just before its end a player waits to be told that this is the end; that is no stall.
  if (!played || video.seeking || video.currentTime > video.duration - 0.5) return;
  // With content in hand it waits for a decoder on a busy machine, not for the box.
  if (ahead() > 0.3) return;
  state.stalls += 1;
  state.stalled.push(video.currentTime);
});
video.addEventListener("ended", () => { state.ended = true; tell(); });
video.addEventListener("error", () => fail(`video: ${video.error && video.error.message}`));

const fail = (why) => { state.errors.push(String(why)); };

function tell() {
  state.time = video.currentTime;
  state.frames = video.getVideoPlaybackQuality().totalVideoFrames;
  fetch("report?" + query.get("key"), { method: "POST", body: JSON.stringify(state) }).catch(() => {}); // the test has ended
}

const players = {
  hls(url, options) {
    const hls = new Hls(options);
    hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) fail(`hls.js: ${data.type} ${data.details}`); });
    hls.loadSource(url);
    hls.attachMedia(video);
  },
  async shaka(url, options) {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener("error", (event) => { if (event.detail.severity === 2) fail(`shaka: ${event.detail.code} ${event.detail.data}`); });
    await player.attach(video);
    player.configure(options);
    await player.load(url);
  },
  dash(url, options) {
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ streaming: options });
    player.on("error", (event) => fail(`dash.js: ${JSON.stringify(event.error)}`));
    player.initialize(video, url, true);
  },
};

const script = document.createElement("script");
script.src = query.get("player") + ".js";
script.onload = async () => {
  try {
    await players[query.get("player")](query.get("url"), JSON.parse(query.get("options")));
  } catch (error) {
    fail(error.code ? `${error.code} ${error.data}` : error);
  }
};
script.onerror = () => fail("the player's script did not come");
document.body.append(script);
setInterval(tell, 250);
