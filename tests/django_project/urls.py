"""The pages of the tests' project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("nothing/", views.nothing),
    path("look/", views.look),
    path("look-async/", views.look_async),
    path("sign-up/", views.sign_up),
    path("log-in/", views.log_in),
    path("log-out/", views.log_out),
    path("check-out/", views.check_out),
    path("check-out-async/", views.check_out_async),
]
