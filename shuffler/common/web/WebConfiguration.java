package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.springframework.boot.autoconfigure.http.HttpMessageConverters;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.converter.ByteArrayHttpMessageConverter;
import org.springframework.http.converter.ResourceHttpMessageConverter;
import org.springframework.http.converter.StringHttpMessageConverter;
import org.springframework.http.converter.json.MappingJackson2HttpMessageConverter;
import org.springframework.http.converter.protobuf.ProtobufHttpMessageConverter;

/** What bodies may be. Named one by one: Spring would add a converter for each library that it finds, such as one for XML. */
@Configuration(proxyBeanMethods = false)
public class WebConfiguration {
  @Bean
  HttpMessageConverters converters(ObjectMapper json) {
    return new HttpMessageConverters(
        false,
        List.of(
            // Messages of the protocol: application/x-protobuf, and their JSON.
            new ProtobufHttpMessageConverter(),
            // Of the actuator.
            new ByteArrayHttpMessageConverter(),
            new StringHttpMessageConverter(StandardCharsets.UTF_8),
            // Blobs.
            new ResourceHttpMessageConverter(),
            // Problem details, and the actuator.
            new MappingJackson2HttpMessageConverter(json)));
  }
}
