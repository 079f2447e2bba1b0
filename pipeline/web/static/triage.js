/* Keys and the reader's own time zone. The page works without it. */
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- times in the reader's zone
  const zoned = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });
  const localise = (within) => all("time[data-local]", within).forEach((time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
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

  // --- a second click or key must not send a form twice
  document.addEventListener("submit", (event) => {
    if (event.target.method === "post" && !event.target.hasAttribute("hx-post")) {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "1";
    }
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // --- rows: j and k move, Enter opens; a click anywhere on a row opens it
  const rows = () => all("tr.row");
  const selected = () => one("tr.row.selected");
  const mark = (row) => {
    all("tr.row.selected").forEach((other) => other.classList.remove("selected"));
    row.classList.add("selected");
    one("a.subject", row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const list = rows();
    if (!list.length) return;
    const at = list.indexOf(selected());
    mark(list[Math.max(0, Math.min(at < 0 ? 0 : at + by, list.length - 1))]);
  };
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.row");
    if (row && !event.target.closest("a, button") && !String(getSelection())) location.href = row.dataset.href;
  });
  // back from a ticket, the list stands where it was left
  const LEFT_AT = "triage.row";
  window.addEventListener("pagehide", () => {
    const ticket = selected()?.dataset.ticket || location.pathname.match(/^\/tickets\/(\d+)/)?.[1];
    if (ticket) sessionStorage.setItem(LEFT_AT, ticket);
  });
  const left = sessionStorage.getItem(LEFT_AT);
  if (left && one("table.rows")) {
    sessionStorage.removeItem(LEFT_AT);
    const row = one(`tr.row[data-ticket="${CSS.escape(left)}"]`);
    if (row) mark(row);
  }
  // a key pressed on a row of the list: its ticket opens with that form at hand
  const open = (form) => {
    const row = selected();
    if (row) location.href = `${row.dataset.href}#${form}`;
    return Boolean(row);
  };
  let taken = null;
  const take = () => {
    const row = selected();
    if (!row) return;
    taken = row.dataset.ticket;
    const values = Object.fromEntries(new FormData(one("#take-row")));
    htmx.ajax("POST", `/reviews/${row.dataset.review}/take`, { target: row, swap: "outerHTML", values });
  };
  const snooze = () => {
    const row = selected(), dialog = one("#snooze-row");
    if (!row || !dialog) return;
    const form = one("form[data-action]", dialog);
    form.action = form.dataset.action.replace("ID", row.dataset.review);
    one("[data-which]", dialog).textContent = `#${row.dataset.ticket}`;
    dialog.showModal();
    one("input[type=radio]", dialog).focus();
  };
  all("[data-own-zone]").forEach((field) => { field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || ""; });
  all("input[type=datetime-local][name=at]").forEach((field) => field.addEventListener("input", () => {
    const choice = one("input[name=until][value=at]", field.form);
    if (choice) choice.checked = true;
  }));

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

  const edit = () => { const text = one("#text"); if (text) { text.focus(); text.scrollIntoView({ block: "nearest" }); } };
  const unfold = (box, field) => {
    const found = one(`${box}:not([hidden])`);
    if (found) { found.open = true; one(field, found)?.focus(); }
  };
  const reject = () => unfold("#reject", "#reason");
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => one("#find")?.select(),
    "?": () => help?.showModal(),
    u: () => { const up = one("a.up"); if (up) up.click(); },
    a: () => open("approve") || press("[data-key=a]"),
    m: () => (selected() ? take() : press("[data-key=m]")),
    e: () => open("edit") || edit(),
    r: () => open("reject") || reject(),
    s: () => (selected() ? snooze() : unfold("#snooze", "input[type=radio]")),
  };
  // what the list was left by; approving is asked once more, with the draft before one's eyes
  const asked = { "#approve": () => one("[data-key=a]")?.focus(), "#edit": edit, "#reject": reject }[location.hash];
  if (asked && one("#draft, #text")) asked();
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
    if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.addEventListener("htmx:after:swap", () => {
    localise(document);
    const lost = document.activeElement === document.body && taken && one(`tr.row[data-ticket="${taken}"]`);
    if (lost) mark(lost); // the row that was swapped for its newer self
    taken = null;
  });
})();
