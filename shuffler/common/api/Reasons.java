package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import org.springframework.core.MethodParameter;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.converter.HttpMessageConverter;
import org.springframework.http.server.ServerHttpRequest;
import org.springframework.http.server.ServerHttpResponse;
import org.springframework.http.server.ServletServerHttpRequest;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.servlet.mvc.method.annotation.ResponseBodyAdvice;

/** Puts the reason of a refusal, whoever gives it, into the line that is logged for its request; and not the path into the answer. */
@RestControllerAdvice
final class Reasons implements ResponseBodyAdvice<Object> {
  @Override
  public boolean supports(MethodParameter type, Class<? extends HttpMessageConverter<?>> converter) {
    return true;
  }

  @Override
  public Object beforeBodyWrite(
      Object body,
      MethodParameter type,
      MediaType media,
      Class<? extends HttpMessageConverter<?>> converter,
      ServerHttpRequest request,
      ServerHttpResponse response) {
    if (body instanceof ProblemDetail problem && request instanceof ServletServerHttpRequest servlet) {
      // The sender knows what was asked for, and it may be long; Spring repeats it in some reasons, too.
      problem.setInstance(null);
      if (problem.getDetail() != null) {
        problem.setDetail(CorrelationId.printable(problem.getDetail()));
        servlet.getServletRequest().setAttribute(CorrelationId.REASON, problem.getDetail());
      }
    }
    return body;
  }
}
