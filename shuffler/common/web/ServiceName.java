package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

/** The name of a service as its answers show it, such as {@code Task Assignment}. */
public record ServiceName(String value) {}
