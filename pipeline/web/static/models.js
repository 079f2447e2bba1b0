/* Writing tools in place, with a way back, and buttons that say that a model is at work. The forms work without it. */
"use strict";
(() => {
  // --- a button whose page takes as long as a model
  const busy = (button, words) => {
    button.dataset.said = button.textContent;
    button.textContent = words;
    button.dataset.busy = "";
    button.setAttribute("aria-busy", "true");
  };
  const rested = (button) => {
    if (!("busy" in button.dataset)) return;
    button.textContent = button.dataset.said;
    delete button.dataset.busy;
    button.removeAttribute("aria-busy");
  };
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button?.dataset.wait && !event.defaultPrevented) busy(button, button.dataset.wait);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("[data-busy]").forEach(rested));

  // --- the writing tools: the text is changed where it stands, and every text before is kept on this page
  document.querySelectorAll("[data-writing]").forEach((tools) => {
    const form = tools.closest("form");
    const editor = form?.querySelector("textarea[name=text]");
    if (!editor) return;
    const said = tools.querySelector(".said"), takeBack = tools.querySelector("[data-take-back]");
    const before = [...tools.querySelectorAll("textarea[name=before]")].map((area) => area.value);
    tools.querySelectorAll(".text-before, [data-undo]").forEach((part) => part.remove());
    const put = (text) => {
      editor.value = text;
      editor.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const say = (words, failed) => {
      said.textContent = words;
      said.classList.toggle("failed", Boolean(failed));
      takeBack.hidden = before.length === 0;
    };
    say(said.textContent);
    takeBack.addEventListener("click", () => {
      put(before.pop());
      say("Taken back.");
      editor.focus();
    });
    let working = false;
    tools.addEventListener("click", async (event) => {
      const button = event.target.closest("button[name=tool]");
      if (!button) return;
      event.preventDefault();
      if (working) return;
      working = editor.readOnly = true;
      const text = editor.value;
      const sent = new FormData(form);
      sent.delete("before");
      sent.set("tool", button.value);
      busy(button, button.textContent);
      try {
        const answer = await fetch(button.formAction, { method: "POST", body: sent, headers: { accept: "application/json" } });
        const told = await answer.json();
        if (told.error) {
          say(told.error, true);
        } else {
          before.push(text);
          put(told.text);
          say(told.said);
        }
      } catch {
        say("The page did not get through; try again.", true);
      } finally {
        rested(button);
        working = editor.readOnly = false;
      }
    });
  });
})();
