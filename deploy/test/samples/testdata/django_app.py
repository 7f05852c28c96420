"""Prints "accepted" or "rejected" for each token on standard input, a JSON string a line, as a view of Django
REST framework that needs a user does. Its argument is the file with the sample, which holds Django settings.
"""
import json
import sys

import django
from django.conf import settings

sample = {}
with open(sys.argv[1]) as file:
    exec(compile(file.read(), sys.argv[1], "exec"), sample)
settings.configure(
    SECRET_KEY="not used for tokens",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    **{name: value for name, value in sample.items() if name.isupper()},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402: needs the settings
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class WhoAmI(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"id": request.user.pk})


urlpatterns = [path("whoami/", WhoAmI.as_view())]
call_command("migrate", verbosity=0)
User.objects.create(pk=1, username="user0")
client = Client()
for line in sys.stdin:
    answer = client.get("/whoami/", HTTP_AUTHORIZATION="Bearer " + json.loads(line))
    if answer.status_code not in (200, 401):
        sys.exit("the view answered %d" % answer.status_code)
    print("accepted" if answer.status_code == 200 else "rejected")
