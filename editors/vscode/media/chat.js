// Draws the chat. Elements are made by name from the list below and filled with textContent: no text becomes markup.
(function () {
  "use strict";
  const vscode = acquireVsCodeApi();
  const $ = (id) => document.getElementById(id);
  const SPANS = { code: "code", strong: "strong", emphasis: "em" };

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(title, message) {
    const made = element("button", "small", title);
    made.addEventListener("click", () => vscode.postMessage(message));
    return made;
  }

  function span(of) {
    if (of.kind === "text") return document.createTextNode(of.text);
    if (of.kind !== "link") return element(SPANS[of.kind] || "span", "", of.text);
    // No anchor: the editor asks before it opens anything, and the address is to be seen.
    const link = element("button", "link", of.text === of.url ? of.url : of.text + " (" + of.url + ")");
    link.addEventListener("click", () => vscode.postMessage({ type: "link", url: of.url }));
    return link;
  }

  function filled(name, className, spans) {
    const made = element(name, className);
    for (const one of spans) made.appendChild(span(one));
    return made;
  }

  function block(of, turn, index) {
    if (of.kind === "heading") return filled("h" + Math.min(of.level + 2, 6), "", of.spans);
    if (of.kind === "paragraph") return filled("p", "", of.spans);
    if (of.kind === "quote") return filled("blockquote", "", of.spans);
    if (of.kind === "rule") return element("hr");
    if (of.kind === "list") {
      const list = element(of.ordered ? "ol" : "ul");
      for (const item of of.items) list.appendChild(filled("li", "", item));
      return list;
    }
    const made = element("div", "block");
    const bar = element("div", "bar");
    bar.appendChild(element("span", "language", of.language));
    if (of.closed) {
      bar.appendChild(button("Copy", { type: "copy", turn, block: index }));
      bar.appendChild(button("Insert", { type: "insert", turn, block: index }));
      bar.appendChild(button("Apply", { type: "apply", turn, block: index }));
    }
    made.appendChild(bar);
    made.appendChild(element("pre", "", of.text));
    return made;
  }

  function draw(turns, busy) {
    const box = $("turns");
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    const made = turns.map((turn, number) => {
      const article = element("article", turn.role);
      turn.blocks.forEach((one, index) => article.appendChild(block(one, number, index)));
      if (turn.pending) article.appendChild(element("p", "pending", "…"));
      if (turn.error) article.appendChild(element("p", "error", turn.error));
      return article;
    });
    box.replaceChildren(...made);
    if (atEnd) box.scrollTop = box.scrollHeight;
    $("send").hidden = busy;
    $("stop").hidden = !busy;
  }

  function send() {
    const text = $("text").value;
    if (!text.trim() || $("send").hidden) return;
    $("text").value = "";
    vscode.postMessage({ type: "send", text, context: $("context").checked && $("name").textContent !== "" });
  }

  window.addEventListener("message", (event) => {
    const message = event.data;
    if (message.type === "turns") draw(message.turns, message.busy);
    if (message.type === "context") {
      $("name").textContent = message.name;
      $("with").hidden = message.name === "";
    }
  });
  $("send").addEventListener("click", send);
  $("stop").addEventListener("click", () => vscode.postMessage({ type: "stop" }));
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  vscode.postMessage({ type: "ready" });
})();
