import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;

/** Asks the URL on its standard input with the JVM's defaults and prints the status, or why there is none. */
final class TlsProbe {
  private TlsProbe() {}

  public static void main(String[] arguments) throws IOException {
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    HttpURLConnection connection = (HttpURLConnection) new URL(input.readLine()).openConnection();
    try {
      System.out.println("status " + connection.getResponseCode());
    } catch (IOException failure) {
      System.out.println("failed: " + failure.getMessage());
    }
  }
}
