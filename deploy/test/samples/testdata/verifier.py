"""Prints "accepted" or "rejected" for each token on standard input, a JSON string a line.

Arguments: the file with the sample, and the key. The sample rejects a token by raising
jwt.InvalidTokenError; any other exception is a fault.
"""
import json
import sys

import jwt

with open(sys.argv[1]) as file:
    sample = compile(file.read(), sys.argv[1], "exec")
for line in sys.stdin:
    try:
        exec(sample, {"jwt": jwt, "raw": json.loads(line), "key": sys.argv[2]})
    except jwt.InvalidTokenError:
        print("rejected")
    else:
        print("accepted")
