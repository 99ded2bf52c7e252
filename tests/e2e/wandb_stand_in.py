"""As much of a W&B server as its client asks of one, on this machine: what it is sent is kept and can be read."""

import gzip
import json
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

KEY = "0" * 40
_ME = {"id": "e", "name": "me"}


class Sent:
    """What a run sent."""

    def __init__(self):
        self.config, self.summary, self.about = {}, {}, {}
        self.history, self.system = [], []
        self.artifacts = {}  # {name: {file: content}}
        self.exit_code = None  # once it has said that it is over

    @property
    def keys(self):
        """Names of all values, of the whole and of moments."""
        named = {*self.summary, *(key for row in self.history for key in row)}
        return {key for key in named if not key.startswith("_")}

    def curve(self, key):
        """(step, value) of each moment that has one."""
        return [(row["_step"], row[key]) for row in self.history if key in row]


class StandIn:
    """``runs`` by their ids. ``silent``: once set it takes requests and answers none."""

    def __init__(self, url):
        self.url = url
        self.runs = defaultdict(Sent)
        self.unknown = []  # requests that nobody has written an answer to
        self.silent = Event()
        self._artifacts = {}  # what `Sent.artifacts` holds, by the number it was given
        self._answers = {
            "viewer {": lambda given: {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}"}},
            "serverInfo {": lambda given: {"serverInfo": {"features": []}},
            "organization {": lambda given: {"entity": {"organization": {"coreWeaveOrganizationId": ""}}},
            "RunResumeStatus": self._resume,
            "upsertBucket(": self._upsert,
            "createRunFiles(": self._run_files,
            "query ArtifactType": lambda given: {"project": {"artifact": None}},
            "createArtifact(": self._artifact,
            "createArtifactManifest(": self._manifest,
            "createArtifactFiles(": self._artifact_files,
            "commitArtifact(": lambda given: {
                "commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}
            },
        }

    def environment(self):
        """What makes a client find it."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}

    def answer(self, path, body):
        """What a request is answered."""
        if path == "/graphql":
            asked = json.loads(body)
            for word, answer in self._answers.items():
                if word in asked["query"]:
                    return {"data": answer(asked.get("variables") or {})}
            self.unknown.append(asked)
        elif path.endswith("/file_stream"):
            self._stream(self.runs[path.split("/")[-2]], json.loads(body))
        elif path.startswith("/put/"):
            _, _, number, name = path.split("/", 3)
            if number in self._artifacts:
                self._artifacts[number][name] = body
        return {}

    def _resume(self, given):
        sent = self.runs.get(given["name"])
        bucket = None
        if sent is not None:
            tail = [json.dumps(row) for row in sent.history[-1:]]
            bucket = {
                "id": given["name"], "name": given["name"], "displayName": given["name"], "tags": [], "notes": "",
                "summaryMetrics": json.dumps(sent.summary), "config": "{}", "wandbConfig": '{"t": 1}',
                "historyTail": json.dumps(tail), "eventsTail": "[]", "logLineCount": 0, "eventsLineCount": 0,
                "historyLineCount": len(sent.history),
            }  # fmt: skip
        return {"model": {"id": "p", "name": given["project"], "entity": _ME, "bucket": bucket}}

    def _upsert(self, given):
        sent, name = self.runs[given["name"]], given["name"]
        sent.about |= {key: value for key, value in given.items() if value is not None and key != "config"}
        if given.get("config"):
            sent.config |= {key: one["value"] for key, one in json.loads(given["config"]).items()}
        project = {"id": "p", "name": given.get("project") or "p", "entity": _ME}
        bucket = {"id": name, "name": name, "displayName": name, "project": project, "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _run_files(self, given):
        files = [{"name": name, "uploadUrl": f"{self.url}/put/{given['run']}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _artifact(self, given):
        given, number = given["input"], f"a{len(self._artifacts)}"
        self._artifacts[number] = self.runs[given["runName"]].artifacts[given["artifactCollectionName"]] = {}
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": number, "state": "PENDING", "artifactSequence": sequence}}}

    def _manifest(self, given):
        file = {"id": "f", "name": "m", "displayName": "m", "uploadUrl": f"{self.url}/put/m/m", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _artifact_files(self, given):
        nodes = [
            {
                "id": "f", "name": one["name"], "displayName": one["name"], "uploadHeaders": [], "storagePath": "s",
                "uploadUrl": f"{self.url}/put/{one['artifactID']}/{one['name']}", "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in given["input"]["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _stream(self, sent, body):
        for name, part in body.get("files", {}).items():
            rows = [json.loads(line) for line in part["content"]] if name.endswith((".jsonl", ".json")) else []
            if name == "wandb-history.jsonl":
                sent.history += rows
            elif name == "wandb-events.jsonl":
                sent.system += rows
            elif name == "wandb-summary.json":
                sent.summary = rows[-1]
        if body.get("complete"):
            sent.exit_code = body["exitcode"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        served = self.server.stand_in
        if served.silent.is_set():
            self.server.over.wait()
            return
        text = json.dumps(served.answer(self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed has closed its connection."""


@contextmanager
def stand_in():
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stand_in, server.over = StandIn(f"http://127.0.0.1:{server.server_port}"), Event()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.stand_in
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
