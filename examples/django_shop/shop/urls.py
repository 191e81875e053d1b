"""The shop's pages."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import views

urlpatterns = [
    path("", views.products, name="products"),
    path("product/<slug:sku>/", views.product, name="product"),
    path("cart/", views.cart, name="cart"),
    path("check-out/start/", views.start_check_out, name="start_check_out"),
    path("check-out/", views.check_out, name="check_out"),
    path("sign-up/", views.sign_up, name="sign_up"),
    path("profile/", views.profile, name="profile"),
    path("delete-account/", views.delete_account, name="delete_account"),
    path("log-in/", LoginView.as_view(), name="login"),
    path("log-out/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
