"""The provider simulator: stands where Meta, Twilio and SendGrid cannot run."""
