// SPDX-License-Identifier: Apache-2.0
// The page of labs that run: from the address to a lab, a kept run, or the list of both. Begin
// reading here, then `live_lab.js`.
import { h, put } from "./dom.js";
import { decode } from "./scene.js";
import { Player } from "./app.js";
import { Speaker } from "./texts.js";
import { Acts, ActsView } from "./live_acts.js";
import { Home } from "./live_home.js";
import { LiveLab } from "./live_lab.js";
import { LiveModel } from "./live_model.js";
import { nodeActs, cableActs } from "./live_places.js";
import { TablesView } from "./live_tables.js";
import { Terminals } from "./live_terminals.js";
import { Wire, takeToken } from "./live_wire.js";

const SHEETS = ["player.css", "live.css", "vendor/xterm.css"];

const remembered = (key) => {
  try {
    return localStorage.getItem(`hoplab ${key}`);
  } catch {
    return null;
  }
};
const remember = (key, value) => {
  try {
    localStorage.setItem(`hoplab ${key}`, value);
  } catch {
    /* then not */
  }
};

class Page {
  constructor(host, root, words, token) {
    Object.assign(this, { host, root, words, token });
    this.document = document.documentElement;
    this.language = this.firstLanguage();
    this.labs = [];
    this.hello = { acts: [], view: true, controllers: [] };
    this.view = null; // what is shown: a Home, a Player, or a LiveLab
    this.wire = new Wire(token, {
      hear: (message) => this.hear(message),
      turn: (state) => this.turn(state),
      bytes: (id, data) => this.terminals?.bytes(id, data),
    });
    addEventListener("popstate", () => this.show());
    const theme = remembered("theme");
    if (theme) this.document.dataset.theme = theme;
  }

  firstLanguage() {
    const codes = this.words.languages,
      kept = remembered("language");
    if (codes.includes(kept)) return kept;
    const wanted = navigator.languages.map((tag) => tag.slice(0, 2));
    return wanted.find((code) => codes.includes(code)) ?? codes[0];
  }

  speaker() {
    return new Speaker(this.words, this.words.languages.indexOf(this.language));
  }

  word(key, values) {
    return this.speaker().word(key, values);
  }

  dark() {
    const { theme } = this.document.dataset;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  // ---- where we are: "/?lab=NAME", "/?run=ID", or "/"

  get place() {
    const asked = new URLSearchParams(location.search);
    return { lab: asked.get("lab"), run: asked.get("run") };
  }

  open(kind, name) {
    const query = kind ? `?${new URLSearchParams({ [kind]: name })}` : "";
    history.pushState(null, "", `/${query}`);
    this.show();
  }

  show() {
    const { lab, run } = this.place;
    this.watched = null;
    this.leave();
    if (run) this.showRun(run);
    else if (lab) this.watch(lab);
    else this.showHome();
  }

  // Whatever was shown does nothing any more.
  leave() {
    this.view?.clock?.pause();
    this.terminals?.closeAll();
    this.terminals = this.tables = null;
    if (this.live && this.wire.open) this.wire.send({ type: "watch", lab: "" });
    this.live = this.view = null;
  }

  // ---- the connection

  turn(state) {
    if (state === "open") this.afresh();
    else if (state === "refused") this.notice(this.word("no_entry"));
    else if (state === "older") this.notice(this.word("older"));
    else if (!this.view) this.notice(this.word("lost_server"));
    else this.view.heard?.("said");
    if (this.noticeBar) this.noticeBar.textContent = this.barText();
  }

  // A new connection knows nothing of what was asked of the one before it.
  afresh() {
    if (!this.view || this.view instanceof Home) this.show();
    else if (this.live) this.wire.send({ type: "watch", lab: this.live.name });
    if (this.noticeBar) this.noticeBar.textContent = "";
  }

  hear(message) {
    if (message.type === "hello") {
      this.hello = message;
    } else if (message.type === "labs") {
      this.labs = message.labs;
      if (this.view instanceof Home) this.view.showLabs(this.labs);
      this.lookForWatched();
    } else if (message.lab !== undefined && message.lab === this.watched) this.hearLab(message);
  }

  // A lab that was ended, or is not there yet, may come under the same name.
  lookForWatched() {
    const there = this.labs.some((lab) => lab.name === this.watched);
    if (there && (!this.live || this.live.dead)) {
      this.live = null;
      this.wire.send({ type: "watch", lab: this.watched });
    }
    if (!there && this.watched && !this.live) this.showHome();
  }

  hearLab(message) {
    if (message.type === "scene") message.scene.words = this.words.words;
    if (message.type === "scene" && !this.live) return this.showLab(message);
    if (!this.live) return undefined;
    const what = this.live.take(message);
    // The next batch may come when this one is in the picture; a page that nobody sees draws none.
    if (what === "batch")
      requestAnimationFrame(() => this.wire.send({ type: "credit", batch: message.batch }));
    this.view.heard(what, message);
    return undefined;
  }

  // ---- what is shown

  frame(...children) {
    put(this.root, children);
  }

  notice(text) {
    this.leave();
    this.frame(
      h("header", {}, h("strong", { class: "brand" }, "hoplab")),
      h("main", { class: "home" }, h("p", { class: "note", role: "status" }, text)),
    );
  }

  barText() {
    return this.wire.state === "open" ? "" : this.word("lost_server");
  }

  homeButton(text) {
    return h(
      "button",
      { type: "button", class: "brand", onclick: () => this.open("", "") },
      "hoplab",
      h("span", { class: "hidden" }, ` ${text}`),
    );
  }

  showHome() {
    this.watched = null;
    document.title = "hoplab";
    this.host.lang = this.word("tag");
    const home = new Home(this.speaker(), {
      open: (kind, name) => this.open(kind, name),
      download: (path, name) => this.fetchFile(path, name),
      remove: (id) => this.wire.get(`/api/runs/${id}`, { method: "DELETE" }),
      view: this.hello.view,
    });
    this.view = home;
    this.noticeBar = h("p", { class: "chip", role: "status" }, this.barText());
    const codes = this.words.languages;
    const language = h(
      "select",
      {
        "aria-label": this.word("language"),
        onchange: (event) => {
          this.spoken(event.target.value);
          this.showHome();
        },
      },
      codes.map((code) =>
        h(
          "option",
          { value: code, lang: code, selected: code === this.language },
          this.words.names[code] ?? code,
        ),
      ),
    );
    const theme = h(
      "button",
      {
        type: "button",
        onclick: () => {
          this.turnTheme();
          theme.textContent = this.word(this.dark() ? "light" : "dark");
        },
      },
      this.word(this.dark() ? "light" : "dark"),
    );
    this.frame(
      h(
        "header",
        {},
        h("strong", { class: "brand" }, "hoplab"),
        h("div", { class: "headline" }, h("h1", {}, this.word("labs")), this.noticeBar),
        language,
        theme,
      ),
      home.element,
    );
    home.showLabs(this.labs);
    home.showRuns([]);
    this.wire.json("/api/runs").then(
      ({ runs }) => home.showRuns(runs),
      () => {},
    );
  }

  turnTheme() {
    this.document.dataset.theme = this.dark() ? "light" : "dark";
    remember("theme", this.document.dataset.theme);
    this.terminals?.paint();
  }

  spoken(code) {
    this.language = code;
    remember("language", code);
    this.document.lang = this.word("tag");
  }

  // What every player in this page needs of it.
  common() {
    return {
      host: this.host,
      document,
      dark: () => this.dark(),
      turn: () => this.turnTheme(),
      print: () => {},
      language: this.language,
      languageNames: this.words.names,
      spoken: (code) => this.spoken(code),
      homeButton: (text) => this.homeButton(text),
      captureName: "",
      download: null,
    };
  }

  async showRun(id) {
    try {
      const [scenes, insides] = await Promise.all([
        this.wire.json(`/api/runs/${id}/scene`),
        this.wire.json(`/api/runs/${id}/inside`),
      ]);
      if (this.place.run !== id) return;
      const save = () => this.fetchFile(`/api/runs/${id}/capture.pcapng`, "capture.pcapng");
      const options = { ...this.common(), captureName: "capture.pcapng", download: save };
      const raws = scenes.map((raw) => ({ ...raw, words: this.words.words }));
      const player = new KeptRun(this.root, raws.map(decode), options);
      player.insides = insides;
      player.detail.inside = insides[0];
      player.afterwards();
      this.view = player;
      this.noticeBar = null;
      document.title = `${player.speaker.text(player.scene.title)} · hoplab`;
      window.hoplab = player;
    } catch {
      this.open("", "");
    }
  }

  watch(name) {
    this.watched = name;
    this.live = null;
    this.notice(this.word("connecting"));
    this.wire.send({ type: "watch", lab: name });
  }

  showLab(message) {
    const live = (this.live = new LiveModel(this.hello, message));
    this.noticeBar = null;
    document.title = `${live.name} · hoplab`;
    const acts = new Acts(this.wire, live, {
      changed: (result) => this.actChanged(result),
      language: () => this.language,
    });
    const panels = {};
    if (!live.view && live.acts.length) panels.do = (speaker) => this.doPanel(speaker);
    if (this.hello.terminals) {
      this.terminals = new Terminals(this.wire, live.name, () => this.dark());
      panels.terminals = (speaker) => this.terminals.panel(speaker, live.hosts);
    }
    if (this.hello.tables) panels.tables = (speaker) => this.tablesPanel(speaker, live);
    this.acts = acts;
    this.view = new LiveLab(this.root, {
      ...this.common(),
      live,
      panels,
      lost: () => this.wire.state !== "open",
      inside: (packet, hear) => this.askInside(packet, hear),
      keep: live.view ? null : (hear) => this.keep(hear),
      tablesView: () => this.tables,
      openRun: (run) => this.open("run", run),
      terminalButton: (name) => this.terminalButton(name),
      nodeActs: (name, page) => nodeActs(this.actsView, name, page),
      cableActs: (cable, page) => cableActs(this.actsView, cable, page),
    });
    window.hoplab = this.view;
  }

  terminalButton(host) {
    if (!this.terminals) return null;
    const open = () => {
      this.view.showTab("terminals");
      this.terminals.open(host);
    };
    return h("button", { type: "button", onclick: open }, this.view.speaker.word("open_terminal"));
  }

  tablesPanel(speaker, live) {
    this.tables = new TablesView(speaker, live, {
      want: (nodes) => this.wire.send({ type: "tables", nodes }),
      pick: (packet) => this.view.showPacket(packet),
    });
    return this.tables.panel();
  }

  doPanel(speaker) {
    this.actsView = new ActsView(this.acts, speaker, {
      copy: (text, button) => this.view.copy(text, button),
      open: (run) => this.open("run", run),
      download: ({ name, text }) => this.saveFile(new Blob([text]), name),
      fetch: (path) => this.fetchFile(path, path.split("/").pop()),
    });
    return this.actsView.panel();
  }

  // What was begun anywhere in the page is shown where results stand.
  actChanged(result) {
    if (!this.actsView) return;
    if (!this.actsView.cards.has(result)) this.view.showTab("do");
    this.actsView.show(result);
  }

  askInside(packet, hear) {
    const id = this.wire.ask({ type: "inside", packet }, (answer) => {
      this.wire.forget(id);
      if (answer.inside) hear(answer.inside);
    });
  }

  // The last minutes as a run; hear(answer) when it is there, or is not.
  keep(hear) {
    const id = this.wire.ask({ type: "keep" }, (answer) => {
      this.wire.forget(id);
      hear(answer);
    });
  }

  // ---- files

  async fetchFile(path, name) {
    const response = await this.wire.get(path);
    if (response.ok) this.saveFile(await response.blob(), name);
  }

  saveFile(blob, name) {
    const link = h("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

// A kept run in this page: there is a way back to the others, and no page for print.
class KeptRun extends Player {
  header() {
    const header = super.header();
    header
      .querySelector(".brand")
      .replaceWith(this.options.homeButton(this.speaker.word("labs")));
    return header;
  }

  printButton() {
    return null;
  }

  speak(language) {
    super.speak(language);
    this.options.spoken(this.scene.languages[language]);
  }
}

async function begin() {
  const host = document.getElementById("player"),
    shadow = host.attachShadow({ mode: "open" });
  const { token, lab, fresh } = takeToken();
  const query = lab ? `?${new URLSearchParams({ lab })}` : location.search;
  if (fresh) history.replaceState(null, "", `/${query}`);
  const text = (name) => fetch(`/static/${name}`).then((response) => response.text());
  const [words, ...sheets] = await Promise.all([
    fetch("/words.json").then((response) => response.json()),
    ...SHEETS.map(text),
  ]);
  shadow.adoptedStyleSheets = sheets.map((style) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    return sheet;
  });
  const root = h("div", { class: "player" });
  shadow.append(root);
  const page = new Page(host, root, words, token);
  document.documentElement.lang = page.word("tag");
  page.notice(page.word(token ? "connecting" : "no_entry"));
  if (token) page.wire.connect();
  window.hoplabPage = page;
}

begin();
