package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.springframework.boot.autoconfigure.http.HttpMessageConverters;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.http.MediaType;
import org.springframework.http.converter.ByteArrayHttpMessageConverter;
import org.springframework.http.converter.ResourceHttpMessageConverter;
import org.springframework.http.converter.StringHttpMessageConverter;
import org.springframework.http.converter.json.MappingJackson2HttpMessageConverter;
import org.springframework.http.converter.protobuf.ProtobufHttpMessageConverter;

/**
 * What bodies may be, and the page of errors. Converters are named one by one: Spring would add one for each library that it finds, such as
 * XML.
 */
@Configuration(proxyBeanMethods = false)
@Import(ErrorPage.class)
public class WebConfiguration {
  @Bean
  HttpMessageConverters converters(ObjectMapper json) {
    ProtobufHttpMessageConverter protobuf = new ProtobufHttpMessageConverter();
    protobuf.setSupportedMediaTypes(List.of(ProtobufHttpMessageConverter.PROTOBUF, MediaType.APPLICATION_JSON));
    return new HttpMessageConverters(
        false,
        List.of(
            // Messages of the protocol: application/x-protobuf, and their JSON.
            protobuf,
            // Of the actuator.
            new ByteArrayHttpMessageConverter(),
            new StringHttpMessageConverter(StandardCharsets.UTF_8),
            // Blobs.
            new ResourceHttpMessageConverter(),
            // Problem details, and the actuator.
            new MappingJackson2HttpMessageConverter(json)));
  }
}
