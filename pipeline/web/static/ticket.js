/* The ticket page: an editor that says whether it was changed, what is typed kept, and who else is here.
   The page works without it. */
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- the editor: what would be sent is the draft, or an edit
  const editor = one("#judge textarea");
  if (editor) {
    const asked = one("[data-unchanged]", editor.form), edited = one("[data-changed]", editor.form);
    const revert = one("[data-revert]", editor.form);
    const draft = editor.dataset.draft;
    const show = () => {
      const changed = editor.value.trim() !== draft.trim();
      asked.disabled = changed || "blocked" in asked.dataset;
      asked.classList.toggle("primary", !changed);
      edited.disabled = !changed;
      edited.classList.toggle("primary", changed);
      revert.hidden = !changed;
    };
    show();
    editor.addEventListener("input", show);
    revert.addEventListener("click", () => {
      editor.value = draft;
      editor.dispatchEvent(new Event("input", { bubbles: true }));
      editor.focus();
    });
  }

  // --- what is typed is kept while it is typed; here also when the page goes before the pause that saves it
  let leavingToSend = false;
  const unsaved = new Set();
  all("textarea[data-keep]").forEach((text) => text.addEventListener("input", () => unsaved.add(text)));
  document.addEventListener("htmx:after:request", (event) => {
    const text = event.detail?.ctx?.sourceElement;
    if (text) unsaved.delete(text);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form:not([hx-post])")) leavingToSend = true;
  });
  window.addEventListener("pageshow", () => { leavingToSend = false; });

  // --- a sign that somebody is here, while the page is looked at
  const here = one("#here");
  const values = (form, more) => {
    const body = new URLSearchParams(new FormData(form));
    Object.entries(more).forEach(([name, value]) => body.set(name, value));
    return body;
  };
  window.addEventListener("pagehide", () => {
    if (here) navigator.sendBeacon(here.getAttribute("hx-post"), values(here, { leaving: "1" }));
    if (leavingToSend) return;
    unsaved.forEach((text) => {
      navigator.sendBeacon(text.dataset.keep, values(text.form, { instead: text.dataset.instead || "" }));
    });
  });
  if (!here) return;
  const typing = one("[name=typing]", here);
  let pause;
  document.addEventListener("input", (event) => {
    if (!event.target.matches("textarea[data-keep]")) return;
    clearTimeout(pause);
    pause = setTimeout(() => { typing.value = ""; }, 25000);
    if (typing.value) return;
    typing.value = "1";
    htmx.trigger(here, "sign");
  });
  document.addEventListener("htmx:before:request", (event) => {
    if (event.detail?.ctx?.sourceElement === here && document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) htmx.trigger(here, "sign"); });
})();
