"""A Django resource app with one protected view and simplejwt's own token views: Django, Django REST
framework and simplejwt. simplejwt has its default settings, except for the algorithm and the key.

It prints the view's URL when it is ready, and exits when its standard input is closed.

Environment: ALGORITHM, and SIGNING_KEY (HS*) or VERIFYING_KEY (a public key as PEM).
"""
import os
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.urls import path

settings.configure(
    SECRET_KEY="not used for tokens",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ("rest_framework_simplejwt.authentication.JWTAuthentication",),
        "DEFAULT_PERMISSION_CLASSES": ("rest_framework.permissions.IsAuthenticated",),
    },
    SIMPLE_JWT={k: os.environ[k] for k in ("ALGORITHM", "SIGNING_KEY", "VERIFYING_KEY") if k in os.environ},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402: needs the settings
from django.core.management import call_command  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.views import TokenRefreshView, TokenVerifyView  # noqa: E402


class WhoAmI(APIView):
    def get(self, request):
        return Response({"id": request.user.pk, "username": request.user.username})


urlpatterns = [
    path("whoami/", WhoAmI.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
    path("token/verify/", TokenVerifyView.as_view()),
]


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def main():
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    User.objects.create(pk=1, username="user0")
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=QuietHandler)
    print("http://127.0.0.1:%d/whoami/" % server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


main()
