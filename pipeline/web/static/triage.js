/* Keys, the reader's own time zone, and an editor that says whether it was changed. The page works without it. */
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- times in the reader's zone
  const zoned = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });
  const localise = (within) => all("time[data-local]", within).forEach((time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.title = time.textContent;
    time.textContent = zoned.format(at);
    time.removeAttribute("data-local");
  });
  localise(document);

  // --- filters apply when they are changed
  all("form[data-submit-on-change]").forEach((form) => {
    form.addEventListener("change", () => {
      all("select, input", form).forEach((field) => { if (field.value === "") field.disabled = true; });
      form.requestSubmit();
    });
  });

  // --- the editor: what would be sent is the draft, or an edit
  const editor = one("#draft textarea");
  if (editor) {
    const asked = one("#draft [data-unchanged]"), edited = one("#draft [data-changed]"), revert = one("#draft [data-revert]");
    const draft = editor.defaultValue;
    const show = () => {
      const changed = editor.value.trim() !== draft.trim();
      asked.disabled = changed || "blocked" in asked.dataset;
      asked.classList.toggle("primary", !changed);
      edited.disabled = !changed;
      edited.classList.toggle("primary", changed);
      revert.hidden = !changed;
    };
    const kept = Boolean(one(".live[open]")); // a refused edit came back: it is an edit still
    if (!kept) show();
    editor.addEventListener("input", show);
    revert.addEventListener("click", () => {
      editor.value = draft;
      editor.dispatchEvent(new Event("input", { bubbles: true }));
      editor.focus();
    });
    window.addEventListener("beforeunload", (event) => {
      if (!leaving && editor.value.trim() !== draft.trim()) event.preventDefault();
    });
  }
  let leaving = false;
  document.addEventListener("submit", (event) => {
    leaving = true;
    // a second click or key must not send the form twice
    if (event.target.method === "post" && !event.target.hasAttribute("hx-post")) {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "1";
    }
  });
  window.addEventListener("pageshow", () => { leaving = false; all("form[data-sent]").forEach((form) => delete form.dataset.sent); });

  // --- rows: j and k move, Enter opens; a click anywhere on a row opens it
  let at = -1;
  const rows = () => all("tr.row");
  const select = (to) => {
    const list = rows();
    if (!list.length) return;
    list.forEach((row) => row.classList.remove("selected"));
    at = Math.max(0, Math.min(to, list.length - 1));
    list[at].classList.add("selected");
    one("a.subject", list[at]).focus({ preventScroll: true });
    list[at].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.row");
    if (row && !event.target.closest("a, button") && !String(getSelection())) location.href = row.dataset.href;
  });

  const help = one("#help");
  const press = (selector) => {
    const button = one(selector);
    if (!button || button.disabled || button.closest("[hidden]")) return false;
    button.click();
    return true;
  };
  const helper = one(".keys-help");
  if (helper && help) {
    helper.hidden = false;
    helper.addEventListener("click", () => help.showModal());
  }

  const keys = {
    j: () => select(at + 1),
    k: () => select(at - 1),
    "/": () => one("#find")?.select(),
    "?": () => help?.showModal(),
    u: () => { const up = one("a.up"); if (up) up.click(); },
    a: () => press("[data-key=a]"),
    m: () => press("[data-key=m]"),
    e: () => { const text = one("#text"); if (text) { text.focus(); text.scrollIntoView({ block: "nearest" }); } },
    r: () => {
      const reject = one("#reject:not([hidden])");
      if (reject) { reject.open = true; one("#reason", reject).focus(); }
    },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && typing.form) {
        event.preventDefault();
        const button = one("button.primary:not([disabled])", typing.form) || one("button:not([disabled]):not([type=button])", typing.form);
        if (button) typing.form.requestSubmit(button);
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.addEventListener("htmx:after:swap", () => localise(document));
})();
