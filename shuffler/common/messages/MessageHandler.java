package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

/** Does what a message asks for. The same message may come again, also after it was handled. */
@FunctionalInterface
public interface MessageHandler {
  /**
   * Handles a message; when it returns, the message is done with.
   *
   * @throws Exception if the message is to come again later
   */
  void handle(Message message) throws Exception;
}
