"""Google's sentencepiece as an oracle: JSON Lines in, JSON Lines out.

    python3 reference.py tokenizer.model < requests > answers

A request is a string, the base64 of a text in UTF-8 (so that no line break or odd character is lost on the way), and is
answered by the text's ids and by their decoding: [[id ...], text]. Or it is an array of ids, answered by their decoding.
"""

import base64
import json
import sys

import sentencepiece


def main():
    processor = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, str):
            ids = processor.encode(base64.b64decode(request))
            answer = [ids, processor.decode(ids)]
        else:
            answer = processor.decode(request)
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
