// SPDX-License-Identifier: Apache-2.0
// From the file to a player in it. Begin reading here, then `app.js`.
import { h } from "./dom.js";
import { Player } from "./app.js";
import { decode } from "./scene.js";

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(
    new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")),
  ).arrayBuffer();
}

// The page for print is kept aside while the player is shown: it may have ten thousand elements.
const aside = document.createDocumentFragment();

const json = (buffer) => JSON.parse(new TextDecoder().decode(buffer));

async function start(host, page) {
  page.classList.add("playing");
  const held = Object.fromEntries(
    ["player-style", "scene", "inside", "capture"].map((id) => [
      id,
      document.getElementById(id)?.textContent,
    ]),
  );
  const raws = json(await unpack(held.scene));
  const shadow = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(JSON.parse(held["player-style"]));
  shadow.adoptedStyleSheets = [sheet];
  const root = h("div", { class: "player" });
  shadow.append(root);
  const dark = () =>
    page.dataset.theme === "dark" ||
    (!page.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const keepAside = () => {
    if (!page.classList.contains("playing")) return;
    while (host.nextElementSibling) aside.append(host.nextElementSibling);
  };
  const bring = () => document.body.append(aside);
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", keepAside);
  else keepAside();
  addEventListener("beforeprint", bring);
  addEventListener("afterprint", () => {
    if (!host.hidden) keepAside();
  });
  const print = () => {
    player.clock.pause();
    host.hidden = true;
    page.classList.remove("playing");
    bring();
    const back = h(
      "button",
      {
        type: "button",
        class: "to-player",
        onclick: () => {
          back.remove();
          host.hidden = false;
          page.classList.add("playing");
          keepAside();
          for (const map of player.maps) map.fit();
        },
      },
      player.speaker.word("back_to_player"),
    );
    document.body.prepend(back);
    back.focus();
  };
  const player = new Player(root, raws.map(decode), {
    host,
    document,
    dark,
    print,
    turn: () => {
      page.dataset.theme = dark() ? "light" : "dark";
    },
    language: host.lang,
    languageNames: JSON.parse(host.dataset.languages),
    captureName: host.dataset.capture,
    download: held.capture ? () => save() : null,
  });
  async function save() {
    const link = h("a", {
      href: URL.createObjectURL(new Blob([await unpack(held.capture)])),
      download: host.dataset.capture,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
  window.hoplab = player;
  requestAnimationFrame(async () => {
    player.insides = json(await unpack(held.inside));
    player.detail.inside = player.insides[player.side];
    player.afterwards();
    player.ready = true;
  });
}

// A browser that cannot play the run shows the page for print, and says so.
async function begin() {
  const host = document.getElementById("player"),
    page = document.documentElement;
  try {
    await start(host, page);
  } catch (error) {
    console.error(error);
    page.classList.remove("playing");
    host.hidden = true;
    document.body.append(aside);
    document.body.prepend(h("p", { class: "cannot", role: "status" }, host.dataset.cannot));
  }
}

begin();
