"""A server that knows what belongs in the holes, in the APIs that `hearth eval` asks."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

QWEN = re.compile(r"<\|fim_prefix\|>(.*)<\|fim_suffix\|>(.*)<\|fim_middle\|>", re.S)


class FakeServer:
    """texts: whole programs. `change` turns the right answer into what is sent."""

    def __init__(self, texts, change=lambda answer: answer, status=200):
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body, dict(self.headers)))
                code = status(len(outer.asked)) if callable(status) else status
                data = outer.stream(self.path, body, texts, change) if code == 200 else b'{"error":"no"}'
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def stream(path, body, texts, change):
        if path == "/infill":
            prefix, suffix = body["input_prefix"], body["input_suffix"]
        elif path == "/v1/completions" and "suffix" in body:
            prefix, suffix = body["prompt"], body["suffix"]
        else:
            prefix, suffix = QWEN.fullmatch(body["prompt"]).groups()
        whole = next(t for t in texts if prefix in t and t.endswith(suffix))
        at = whole.index(prefix) + len(prefix)
        answer = change(whole[at:len(whole) - len(suffix)])
        pieces = [answer[:3], answer[3:]]
        if path == "/infill":
            events = [{"content": p, "stop": False} for p in pieces]
            events.append({"content": "", "stop": True, "tokens_predicted": 7, "tokens_evaluated": 9})
        elif path == "/api/generate":
            events = [{"response": p, "done": False} for p in pieces]
            events.append({"response": "", "done": True, "eval_count": 7, "prompt_eval_count": 9})
            return "".join(json.dumps(e) + "\n" for e in events).encode()
        else:
            events = [{"choices": [{"text": p}]} for p in pieces]
            events.append({"choices": [], "usage": {"completion_tokens": 7, "prompt_tokens": 9}})
        lines = "".join(f"data: {json.dumps(e)}\n\n" for e in events)
        return (lines + "data: [DONE]\n\n").encode()
