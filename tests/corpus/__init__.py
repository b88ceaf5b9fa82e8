"""Networks and judges that several tests share."""
