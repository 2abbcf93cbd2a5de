"use strict";
// Decides without leaving the list: a form is sent in the background, its link fades, and the keys J, K, A and R work.
const list = document.querySelector(".links:not(.preview)");

async function decide(form, act) {
  const link = form.closest(".link");
  const fields = new URLSearchParams(new FormData(form));
  fields.set("act", act);
  link.classList.add("gone");
  const next = link.nextElementSibling || link.previousElementSibling;
  if (next) { next.focus(); }
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" } });
    if (!answer.ok) { throw new Error((await answer.json()).error); }
  } catch (error) {
    link.classList.remove("gone");
    link.querySelector(".why").textContent = list.dataset.fault + error.message;
  }
}

if (list) {
  list.addEventListener("submit", (event) => {
    event.preventDefault();
    decide(event.target, event.submitter.value);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey) { return; }
    const here = document.activeElement.closest(".link");
    const step = { j: "nextElementSibling", k: "previousElementSibling" }[event.key];
    if (step) {
      const other = here ? here[step] : list.firstElementChild;
      if (other) { other.focus(); }
    }
    const button = here && { a: ".yes", r: ".no" }[event.key];
    if (button && !here.classList.contains("gone") && here.querySelector(button)) { here.querySelector(button).click(); }
  });
}
