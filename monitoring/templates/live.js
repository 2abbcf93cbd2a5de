"use strict";
// Follows /events (server-sent events; of what, the page says) and fetches the part of the page that changes; one fetch at a time.
const live = document.getElementById("live");
const pulse = document.getElementById("pulse");
const lang = document.documentElement.lang.slice(0, 2);
let busy = false;
let again = false;

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const query = new URLSearchParams(location.search);
    query.set("part", "live");
    query.set("lang", lang);
    const answer = await fetch(`${location.pathname}?${query}`, { cache: "no-store" });
    if (!answer.ok) { throw new Error(answer.status); }
    live.innerHTML = await answer.text();
    alive(true);
  } catch {
    alive(false);
  } finally {
    busy = false;
    if (again) { again = false; refresh(); }
  }
}

function alive(yes) {
  pulse.classList.toggle("stale", !yes);
  pulse.textContent = yes ? pulse.dataset.live : pulse.dataset.stale;
}

const source = new EventSource(live.dataset.events);
source.addEventListener("change", refresh);
source.onerror = () => alive(false);
