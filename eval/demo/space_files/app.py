"""The demo on a Space, or in a container."""

from eval.demo.app import demo

demo(host="0.0.0.0", frames="https://huggingface.co")
