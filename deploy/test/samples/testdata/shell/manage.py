"""A Django project with one user, for `manage.py dumpdata`."""
import sys

import django
from django.conf import settings

settings.configure(
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402: needs the settings
from django.core.management import call_command, execute_from_command_line  # noqa: E402

call_command("migrate", verbosity=0)
User.objects.create_user("carol", password="carols-password")
execute_from_command_line(sys.argv)
