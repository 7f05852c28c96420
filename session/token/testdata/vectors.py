#!/usr/bin/python3
"""Writes vectors.json: tokens signed by another implementation, PyJWT.

Each run generates new keys, which are used in these tests only. kid and jti are
computed independently of the Go code.
"""
import base64, hashlib, hmac, json, secrets, sys

import jwt
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = 1794000000
SID, GEN = "nRyq3Pz0S2mB-xk_91oJvA", 3


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def thumbprint(public):
    if isinstance(public, rsa.RSAPublicKey):
        n = public.public_numbers()
        members = {"e": number(n.e), "kty": "RSA", "n": number(n.n)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        n = public.public_numbers()
        members = {"crv": "P-256", "kty": "EC", "x": number(n.x, 32), "y": number(n.y, 32)}
    else:
        raw = public.public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}
    return b64(hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())


def pem(key):
    return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()).decode()


def main():
    signer, out = jwt.PyJWS(), {"now": NOW, "sid": SID, "generation": GEN, "vectors": []}
    rsa_key = rsa.generate_private_key(65537, 2048)
    pairs = {"RS256": rsa_key, "PS256": rsa_key, "ES256": ec.generate_private_key(ec.SECP256R1()),
             "EdDSA": ed25519.Ed25519PrivateKey.generate()}
    claims = {
        "token_type": "refresh", "exp": NOW + 2592000, "iat": NOW,
        "jti": hashlib.sha256(("%s.%d" % (SID, GEN)).encode()).hexdigest()[:32],
        "user_id": 42, "sid": SID, "type": "LONG", "gen": GEN,
    }
    access = {"token_type": "access", "exp": NOW + 300, "iat": NOW, "jti": secrets.token_hex(16), "user_id": 42}
    for alg in ("HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"):
        if alg in pairs:
            key, shown, kid = pairs[alg], pem(pairs[alg]), thumbprint(pairs[alg].public_key())
        else:
            shown = secrets.token_urlsafe(48)
            key = shown.encode()
            kid = b64(hmac.new(key, b"tokengate kid", hashlib.sha256).digest()[:16])
        head = {"alg": alg, "typ": "JWT", "kid": kid}
        signed = ".".join(b64(json.dumps(x, separators=(",", ":")).encode()) for x in (head, claims))
        method = signer._algorithms[alg]
        out["vectors"].append({
            "algorithm": alg, "key": shown, "kid": kid,
            "refresh": signed + "." + b64(method.sign(signed.encode(), method.prepare_key(key))),
            "access": jwt.encode(access, key, algorithm=alg),
        })
    json.dump(out, sys.stdout, indent=1)
    print()


main()
