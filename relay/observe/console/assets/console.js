// Live updates: every few seconds the same page is fetched again, and the sections that are marked live are put in place of the old ones.
// Whoever reads, types, selects or has stopped it is left alone. Without this script the page stands as it was drawn.
(() => {
  "use strict";
  const milliseconds = 1000 * Number(document.body.dataset.refresh);
  const place = document.getElementById("live");
  if (!milliseconds || !place) return;

  let isStopped = false;
  const words = document.createElement("span");
  const toggle = document.createElement("button");
  toggle.type = "button";
  const say = () => {
    words.textContent = isStopped ? "Stopped. " : "New figures every " + milliseconds / 1000 + " seconds. ";
    toggle.textContent = isStopped ? "Go on" : "Stop";
  };
  toggle.addEventListener("click", () => { isStopped = !isStopped; say(); });
  say();
  place.replaceChildren(words, toggle);
  const failure = document.createElement("span");
  failure.setAttribute("role", "status");
  place.append(failure);

  const isBusy = (section) => {
    const selection = document.getSelection();
    return section.contains(document.activeElement) || (selection && !selection.isCollapsed && selection.containsNode(section, true));
  };

  const put = (fresh, stale) => {
    for (const opened of stale.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector("#" + CSS.escape(opened.id));
      if (same) same.open = true;
    }
    const boxes = [...stale.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    stale.replaceWith(fresh);
    fresh.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = boxes[index] || 0; });
  };

  const refresh = async () => {
    if (isStopped || document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const stale of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(stale.id);
        if (fresh && !isBusy(stale)) put(document.importNode(fresh, true), stale);
      }
      document.title = page.title;
      failure.textContent = "";
    } catch {
      failure.textContent = " The relay does not answer; what you see is old.";
    }
  };

  const again = () => setTimeout(async () => { await refresh(); again(); }, milliseconds);
  again();
})();
