#!/usr/bin/python3
"""Writes vectors.json: tokens signed by another implementation, PyJWT.

Each run generates new keys, which are used in these tests only. kid and jti are
computed independently of the Go code.
"""
import base64, hashlib, hmac, json, secrets, sys

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NOW = 1794000000
SID, GEN, APP = "nRyq3Pz0S2mB-xk_91oJvA", 3, "shop"
SESSION_SECRET = bytes.fromhex("0102030405060708")


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


def private_value(key):
    """The bytes of which the refresh key is derived."""
    if isinstance(key, bytes):
        return key
    if isinstance(key, rsa.RSAPrivateKey):
        d = key.private_numbers().d
        return d.to_bytes((d.bit_length() + 7) // 8, "big")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes(32, "big")
    return key.private_bytes(ser.Encoding.Raw, ser.PrivateFormat.Raw, ser.NoEncryption())


def derive(key, purpose, length):
    return HKDF(hashes.SHA256(), length, None, (purpose + " " + APP).encode()).derive(key)


def secret_kid(key):
    return b64(hmac.new(key, b"tokengate kid", hashlib.sha256).digest()[:16])


def refresh_token(key, alg, claims):
    refresh_key = derive(private_value(key), "tokengate refresh key", 64)
    mask_key = derive(refresh_key, "tokengate session secret", 32)
    pad = hmac.new(mask_key, ("%s.%d" % (SID, GEN)).encode(), hashlib.sha256).digest()
    jti = bytes(a ^ b for a, b in zip(SESSION_SECRET, pad)) + pad[8:16]
    head = {"alg": alg, "typ": "JWT", "kid": secret_kid(refresh_key)}
    claims = {name: jti.hex() if name == "jti" else value for name, value in claims.items()}
    signed = ".".join(b64(json.dumps(x, separators=(",", ":")).encode()) for x in (head, claims))
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return signed + "." + b64(hmac.new(refresh_key, signed.encode(), digest).digest())


def main():
    out = {"now": NOW, "app": APP, "sid": SID, "generation": GEN, "secret": SESSION_SECRET.hex(), "vectors": []}
    rsa_key = rsa.generate_private_key(65537, 2048)
    pairs = {"RS256": rsa_key, "PS256": rsa_key, "ES256": ec.generate_private_key(ec.SECP256R1()),
             "EdDSA": ed25519.Ed25519PrivateKey.generate()}
    claims = {
        "token_type": "refresh", "exp": NOW + 2592000, "iat": NOW,
        "jti": None,
        "user_id": 42, "sid": SID, "type": "LONG", "gen": GEN,
    }
    access = {"token_type": "access", "exp": NOW + 300, "iat": NOW, "jti": secrets.token_hex(16), "user_id": 42}
    for alg in ("HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"):
        if alg in pairs:
            key, shown, kid = pairs[alg], pem(pairs[alg]), thumbprint(pairs[alg].public_key())
        else:
            shown = secrets.token_urlsafe(48)
            key = shown.encode()
            kid = secret_kid(key)
        out["vectors"].append({
            "algorithm": alg, "key": shown, "kid": kid,
            "refresh": refresh_token(key, alg if alg.startswith("HS") else "HS256", claims),
            "access": jwt.encode(access, key, algorithm=alg),
        })
    json.dump(out, sys.stdout, indent=1)
    print()


main()
