#!/usr/bin/env python3
"""Writes data/templates.json: what is known of published chat templates, by family. Not their texts: a SHA-256 of each
(ends of lines and white space at both ends made alike), and what it makes of fixed conversations.

    tools/known_templates.py FOLDER [MODEL.gguf...] > data/templates.json

FOLDER holds templates as the tests fetch them (.deps/vocab/templates: llama.cpp's models/templates). Templates of MODELs are
taken in as well, under the family that their names belong to. Needs the packages jinja2 and, for models, gguf.
"""

import hashlib
import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import chat_kit  # noqa: E402

MAX_EMITTED = 700  # longer ones are known by their SHA-256 alone

CONVERSATIONS = {
    "talk": [{"role": "user", "content": "First question?"}, {"role": "assistant", "content": "First answer."},
             {"role": "user", "content": "Second question?"}],
    "system": [{"role": "system", "content": "House rules."}, {"role": "user", "content": "First question?"}],
}

# Family, architectures, names of models (general.name, general.basename or the name in the store, in small letters with
# '-' for spaces), files in FOLDER without ".jinja".
FAMILIES = [
    ("qwen2.5", ["qwen2", "qwen2moe"], ["*qwen2.5*"], ["Qwen-Qwen2.5-7B-Instruct"]),
    ("qwq", ["qwen2"], ["*qwq*"], ["Qwen-QwQ-32B"]),
    ("qwen3", ["qwen3", "qwen3moe"], ["*qwen3*"], ["Qwen-Qwen3-0.6B"]),
    ("qwen3-coder", ["qwen3moe", "qwen3next"], ["*qwen3-coder*"], ["Qwen3-Coder"]),
    ("qwen3.5", ["qwen35", "qwen35moe"], ["*qwen3.5*"], ["Qwen3.5-4B"]),
    ("llama3.1", ["llama"], ["*llama-3.1*", "*llama3.1*"], ["meta-llama-Llama-3.1-8B-Instruct"]),
    ("llama3.2", ["llama"], ["*llama-3.2*", "*llama3.2*"], ["meta-llama-Llama-3.2-3B-Instruct"]),
    ("llama3.3", ["llama"], ["*llama-3.3*", "*llama3.3*"], ["meta-llama-Llama-3.3-70B-Instruct"]),
    ("gemma2", ["gemma2"], ["*gemma-2*", "*gemma2*"], ["google-gemma-2-2b-it"]),
    ("gemma4", ["gemma4"], ["*gemma-4*", "*gemma4*"], ["google-gemma-4-31B-it", "google-gemma-4-31B-it-interleaved"]),
    ("phi3.5", ["phi3"], ["*phi-3.5*", "*phi3.5*"], ["microsoft-Phi-3.5-mini-instruct"]),
    ("granite3.3", ["granite"], ["*granite-3.3*", "*granite3.3*"], ["ibm-granite-granite-3.3-2B-Instruct"]),
    ("granite4", ["granite", "granitehybrid"], ["*granite-4.*", "*granite4*"], ["ibm-granite-granite-4.0", "ibm-granite-granite-4.1"]),
    ("mistral-nemo", ["llama"], ["*mistral-nemo*"], ["mistralai-Mistral-Nemo-Instruct-2407"]),
    ("mistral-small-3.2", ["llama"], ["*mistral-small-3.2*", "*mistral-small3.2*"], ["Mistral-Small-3.2-24B-Instruct-2506"]),
    ("devstral", ["llama"], ["*devstral*"], ["unsloth-mistral-Devstral-Small-2507"]),
    ("deepseek-r1-distill-llama", ["llama"], ["*deepseek-r1-distill-llama*"], ["deepseek-ai-DeepSeek-R1-Distill-Llama-8B"]),
    ("deepseek-r1-distill-qwen", ["qwen2"], ["*deepseek-r1-distill-qwen*"], ["deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"]),
    ("deepseek-v3.1", ["deepseek2"], ["*deepseek-v3.1*"], ["deepseek-ai-DeepSeek-V3.1"]),
    ("gpt-oss", ["gpt-oss"], ["*gpt-oss*"], ["openai-gpt-oss-120b"]),
    ("smollm2", ["llama"], ["*smollm2*"], []),
    ("smollm3", ["smollm3"], ["*smollm3*"], ["HuggingFaceTB-SmolLM3-3B"]),
    ("hermes-2-pro", ["llama"], ["*hermes-2-pro*"], ["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"]),
    ("hermes-3", ["llama"], ["*hermes-3*"], ["NousResearch-Hermes-3-Llama-3.1-8B-tool_use"]),
    ("lfm2", ["lfm2", "lfm2moe"], ["*lfm2*"], ["LFM2-8B-A1B", "LFM2.5-8B-A1B", "LFM2.5-Instruct"]),
    ("glm-4.6", ["glm4moe"], ["*glm-4.6*"], ["GLM-4.6"]),
    ("kimi-k2", ["deepseek2"], ["*kimi-k2*"], ["moonshotai-Kimi-K2", "Kimi-K2-Instruct", "Kimi-K2-Thinking"]),
    ("seed-oss", ["seed_oss"], ["*seed-oss*"], ["ByteDance-Seed-OSS"]),
    ("apertus", ["apertus"], ["*apertus*"], ["Apertus-8B-Instruct"]),
    ("command-r7b", ["cohere2"], ["*command-r7b*"], ["CohereForAI-c4ai-command-r7b-12-2024-tool_use"]),
]


def normal(text):
    return text.replace("\r\n", "\n").strip(" \t\n")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def emitted(source):
    """What it makes of each conversation; None where it refuses one."""
    out = {}
    template = chat_kit.environment().from_string(source)
    for name, messages in CONVERSATIONS.items():
        try:
            text = template.render(messages=messages, add_generation_prompt=True, bos_token="<BOS>", eos_token="<EOS>")
        except Exception:
            out[name] = None
            continue
        out[name] = {"text": text} if len(text.encode()) <= MAX_EMITTED else {"sha256": digest(text)}
    return out


def known(source, name):
    return {"sha256": digest(normal(source)), "from": name, "emits": emitted(source)}


def of_model(path):
    import gguf

    reader = gguf.GGUFReader(path)

    def text(key):
        return bytes(reader.fields[key].parts[-1]).decode() if key in reader.fields else ""

    return text("general.architecture"), text("general.name").lower().replace(" ", "-"), text("tokenizer.chat_template")


def main():
    folder, models = Path(sys.argv[1]), [of_model(p) for p in sys.argv[2:]]
    families = []
    for family, architectures, names, files in FAMILIES:
        templates = [known((folder / f"{f}.jinja").read_text(), f) for f in files]
        for arch, name, source in models:
            if arch in architectures and any(fnmatchcase(name, n) for n in names):
                entry = known(source, name)
                if entry["sha256"] not in [t["sha256"] for t in templates]:
                    templates.append(entry)
        assert templates, family
        families.append({"family": family, "architectures": architectures, "names": names, "templates": templates})
    print(json.dumps({"version": 1, "now": chat_kit.NOW, "conversations": CONVERSATIONS, "families": families},
                     ensure_ascii=False, indent=1))


main()
