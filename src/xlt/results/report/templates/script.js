"use strict";
(function () {
  const root = document.documentElement;
  const store = {
    get() { try { return localStorage.getItem("xlt-theme"); } catch (error) { return null; } },
    set(value) { try { localStorage.setItem("xlt-theme", value); } catch (error) { /* a page without storage: not kept */ } },
  };

  // Light, dark, or as the system says.
  const themes = ["auto", "light", "dark"];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "theme";
  function show(theme) {
    if (theme === "auto") { delete root.dataset.theme; } else { root.dataset.theme = theme; }
    button.textContent = "Colours: " + theme;
    button.dataset.theme = theme;
  }
  button.addEventListener("click", function () {
    const next = themes[(themes.indexOf(button.dataset.theme) + 1) % themes.length];
    show(next);
    store.set(next);
  });
  const kept = store.get();
  show(themes.includes(kept) ? kept : "auto");
  document.querySelector("header.top").append(button);

  // Evidence in a panel beside the table; without this script the links lead to the same content further down.
  const panel = document.getElementById("panel");
  const body = document.getElementById("panel-body");
  const heading = document.getElementById("panel-h");
  const trail = [];
  function fill(source) {
    const copy = source.cloneNode(true);
    copy.removeAttribute("id");
    copy.querySelectorAll("[id]").forEach(function (node) { node.removeAttribute("id"); });
    heading.textContent = source.dataset.title;
    body.replaceChildren(copy);
    if (trail.length > 1) {
      const back = document.createElement("button");
      back.type = "button";
      back.textContent = "← " + document.getElementById(trail[trail.length - 2]).dataset.title;
      back.addEventListener("click", function () { trail.pop(); fill(document.getElementById(trail[trail.length - 1])); });
      body.prepend(back);
    }
    panel.scrollTop = 0;
  }
  if (typeof panel.showModal === "function") {
    document.addEventListener("click", function (event) {
      const link = event.target.closest("a[href^='#']");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) { return; }
      const source = document.getElementById(link.hash.slice(1));
      if (!source || !source.dataset.title) { return; }
      event.preventDefault();
      if (!panel.open) { trail.length = 0; }
      trail.push(source.id);
      fill(source);
      if (!panel.open) { panel.showModal(); }
    });
    document.getElementById("panel-close").addEventListener("click", function () { panel.close(); });
    panel.addEventListener("click", function (event) { if (event.target === panel) { panel.close(); } });
  }

  // A link into something closed opens it, also where the browser does not do so by itself.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) { return; }
    for (let node = target; node; node = node.parentElement) { if (node.tagName === "DETAILS") { node.open = true; } }
    target.scrollIntoView();
  }
  addEventListener("hashchange", reveal);
  if (location.hash) { reveal(); }

  // Paper has no panels to open.
  let opened = [];
  addEventListener("beforeprint", function () {
    opened = Array.from(document.querySelectorAll("details.panel:not([open]), details.notes:not([open])"));
    opened.forEach(function (node) { node.open = true; });
  });
  addEventListener("afterprint", function () { opened.forEach(function (node) { node.open = false; }); });

  // On a narrow screen the contents begin closed, and close when one is chosen.
  const contents = document.querySelector(".contents details");
  const narrow = matchMedia("(max-width: 70rem)");
  function fold() { contents.open = !narrow.matches; }
  narrow.addEventListener("change", fold);
  fold();
  contents.addEventListener("click", function (event) {
    if (narrow.matches && event.target.closest("a")) { contents.open = false; }
  });

  // Where the reader is.
  if ("IntersectionObserver" in window) {
    const links = new Map(Array.from(document.querySelectorAll(".contents a")).map(function (a) { return [a.hash.slice(1), a]; }));
    const observer = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) { return; }
        links.forEach(function (a) { a.removeAttribute("aria-current"); });
        links.get(entry.target.id).setAttribute("aria-current", "true");
      });
    }, { rootMargin: "-10% 0px -80% 0px" });
    links.forEach(function (a, id) { observer.observe(document.getElementById(id)); });
  }
})();
