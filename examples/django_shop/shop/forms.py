"""The shop's forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model


class SignUpForm(forms.Form):
    """A visitor becomes a customer."""

    email = forms.EmailField()
    first_name = forms.CharField(max_length=50)
    password = forms.CharField(widget=forms.PasswordInput)

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if get_user_model().objects.filter(username=email).exists():
            raise forms.ValidationError("There is an account with this address.")
        return email

    def save(self) -> Any:
        """Create and return the customer."""
        email, password = self.cleaned_data["email"], self.cleaned_data["password"]
        first_name = self.cleaned_data["first_name"]
        return get_user_model().objects.create_user(email, email, password, first_name=first_name)


class GuestForm(forms.Form):
    """A guest starts to check out."""

    email = forms.EmailField()

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class ProfileForm(forms.ModelForm):
    """A customer changes name or address."""

    class Meta:
        model = get_user_model()
        fields = ("first_name", "email")
