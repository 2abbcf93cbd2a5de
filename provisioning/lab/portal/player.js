// Plays what the identifier in ?id= resolves to. Each thing that happens is also told on the console, for whoever watches the phone.
const show = (id, text) => { document.getElementById(id).textContent = text; };
const tell = (event, more = {}) => console.log("headgate-player " + JSON.stringify({ event, ...more }));
const fail = (why) => { show("state", "不能播放 · cannot play: " + why); tell("failed", { why }); };

const query = new URLSearchParams(location.search);
const code = query.get("id");
const resolver = `http://${location.hostname}:${query.get("resolver") || "8080"}`;
show("code", code || "");

async function start() {
  const answer = await fetch(`${resolver}/id/${encodeURIComponent(code)}?format=json`);
  const record = await answer.json();
  if (!answer.ok) return fail(record.error || answer.status);
  const address = record.playable;
  if (!address) return fail("no playable copy in this zone");
  show("title", record.title || code);
  tell("resolved", { address });
  const video = document.querySelector("video");
  const hls = new Hls({ enableWorker: false });
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) fail(`${data.type} ${data.details}`); });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, data) => show("rendition", `${hls.levels[data.level].height}p`));
  hls.loadSource(address);
  hls.attachMedia(video);
  video.addEventListener("playing", () => { show("state", "正在播放 · playing"); tell("playing"); }, { once: true });
  video.addEventListener("timeupdate", () => show("played", `${video.currentTime.toFixed(1)} s`));
  video.addEventListener("ended", () => {
    show("state", "已播完 · ended");
    tell("ended", { seconds: video.currentTime, height: video.videoHeight, frames: video.getVideoPlaybackQuality().totalVideoFrames });
  });
  if (query.get("rate")) video.playbackRate = Number(query.get("rate"));
}

start().catch((error) => fail(String(error)));
