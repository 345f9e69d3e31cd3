// SPDX-License-Identifier: Apache-2.0
// What can be done with a node or a cable that is chosen on the map.
import { h } from "./dom.js";
import { lineOf } from "./live_acts.js";
import { limitsOf } from "./live_model.js";

export function nodeActs(view, name, page) {
  if (!view) return null;
  const { acts } = view,
    { live } = page,
    word = (key, values) => view.word(key, values);
  const kind = page.scene.nodes[page.node].kind;
  const rows = [];
  if (acts.can("set") && kind !== "switch" && kind !== "hub") {
    for (const [service, runs] of Object.entries(live.state.services?.[name] ?? {})) {
      const button = (key, what) =>
        view.button(word(key), "set", [name, "--service", `${service}=${what}`]);
      rows.push(
        h(
          "p",
          { class: "row-of-buttons" },
          h("span", {}, `${word("service")} `, h("code", {}, service)),
          runs
            ? [button("stop_service", "stop"), button("restart_service", "restart")]
            : [
                h("span", { class: "bad" }, word("service_stopped")),
                button("start_service", "start"),
              ],
        ),
      );
    }
  }
  const buttons = [
    page.options.terminalButton?.(name),
    acts.can("remove")
      ? view.sure(word("remove_act", { name }), word("remove_sure", { name }), "remove", [name])
      : null,
  ].filter(Boolean);
  if (buttons.length) rows.push(h("p", { class: "row-of-buttons" }, buttons));
  return rows;
}

export function cableActs(view, cable, page) {
  if (!view || !view.acts.can("link")) return null;
  const { acts } = view,
    word = (key) => view.word(key);
  const ends = cable.ends.map((end) => end.interface),
    up = cable.state === "up";
  const limits = limitsOf(cable.ends[0]);
  const shaped = cable.ends.some((end) => Object.keys(limitsOf(end)).length);
  const field = (key, value) =>
    h("input", { value, placeholder: "", autocomplete: "off", spellcheck: "false", name: key });
  const inputs = [
    ["--rate", "link_rate", field("rate", "")],
    ["--delay", "link_delay", field("delay", limits.delay_ms ? `${limits.delay_ms}ms` : "")],
    ["--loss", "link_loss", field("loss", "")],
  ];
  const args = () => [
    ...ends,
    ...inputs.flatMap(([option, , input]) => {
      const value = input.value.trim();
      return value ? [option, value] : [];
    }),
  ];
  const line = view.line("");
  const renew = () => {
    const given = args();
    line.code.textContent =
      given.length > 2
        ? lineOf(acts.live.name, "link", given)
        : lineOf(acts.live.name, "link", [...ends, up ? "down" : "up"]);
  };
  for (const [, , input] of inputs) input.addEventListener("input", renew);
  renew();
  return [
    h(
      "p",
      { class: "row-of-buttons" },
      view.button(word(up ? "cut_act" : "join_act"), "link", [...ends, up ? "down" : "up"]),
      shaped ? view.button(word("clear_act"), "link", [...ends, "--clear"]) : null,
    ),
    h(
      "form",
      {
        class: "act",
        "data-act": "link",
        onsubmit: (event) => {
          event.preventDefault();
          if (args().length > 2) acts.run("link", args());
        },
      },
      inputs.map(([, key, input]) => h("label", {}, h("span", {}, word(key)), input)),
      h(
        "div",
        { class: "row-of-buttons" },
        h("button", { type: "submit", class: "run" }, word("apply")),
      ),
    ),
    line.row,
  ];
}
