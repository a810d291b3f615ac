"""A small service: GET / greets, GET /health answers "ok", POST /count counts the words of the body."""
import os

import flask

import words

GREETING = "hello from python-service"

app = flask.Flask(__name__)


@app.get("/")
def index():
    return GREETING + "\n"


@app.get("/health")
def health():
    return "ok\n"


@app.post("/count")
def count():
    text = flask.request.get_data(as_text=True)
    return flask.jsonify(words.count(text))


if __name__ == "__main__":
    app.run(host=os.environ.get("HOST", "0.0.0.0"), port=int(os.environ.get("PORT", "8000")))
