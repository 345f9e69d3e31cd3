// SPDX-License-Identifier: Apache-2.0
// Comfort only: without this the page reads the same.
"use strict";
(() => {
  const root = document.documentElement;
  const tools = document.querySelector(".tools");
  const button = (label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", () => act(made));
    tools.append(made);
    return made;
  };
  const dark = () =>
    root.dataset.theme === "dark" ||
    (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  button(tools.dataset.open, (made) => {
    const all = [...document.querySelectorAll("details.packet")];
    const open = all.some((one) => !one.open);
    all.forEach((one) => { one.open = open; });
    made.textContent = open ? tools.dataset.close : tools.dataset.open;
  });
  const theme = button("", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  const name = () => { theme.textContent = dark() ? tools.dataset.light : tools.dataset.dark; };
  name();

  // A link to a packet opens it.
  const reveal = () => {
    const found = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let one = found; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    if (found) found.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // A field and its bytes light up together.
  const light = (event) => {
    const piece = event.target.closest("[data-f]");
    const view = event.target.closest(".hexview");
    document.querySelectorAll(".on").forEach((one) => one.classList.remove("on"));
    if (!piece || !view) return;
    const all = view.querySelectorAll(`[data-f="${piece.dataset.f}"]`);
    all.forEach((one) => one.classList.add("on"));
    const named = [...all].find((one) => one.title);
    view.querySelector(".field-now").textContent = named ? named.title : "";
  };
  document.addEventListener("pointerover", light);
  document.addEventListener("focusin", light);
  // Arrow keys walk from field to field.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const here = event.target.closest && event.target.closest("dd[data-f]");
    if (!step || !here) return;
    const all = [...here.closest(".fields").querySelectorAll("dd")];
    const next = all[all.indexOf(here) + step];
    if (next) { next.focus(); event.preventDefault(); }
  });
})();
