import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;

/** Named checks of one area, and what a program asks of whoever runs it. */
final class Checks {
    /** How long anything may take that is waited for. */
    static final int WAIT_SECONDS = 60;
    static final String HOSTS = System.getenv("MATRIX_HOSTS");
    static final String ROOT = System.getenv("MATRIX_ROOT");
    static final String SERVER_LINE = System.getenv("MATRIX_SERVER_LINE");

    private static final BufferedReader ANSWERS =
        new BufferedReader(new InputStreamReader(System.in));
    private static String area;

    private Checks() {
    }

    interface Step {
        void run() throws Exception;
    }

    static void begin(String ofArea) {
        area = ofArea;
    }

    /** Says whether a step ends as it should. */
    static void check(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + area + " " + name);
        } catch (Exception | AssertionError e) {
            System.out.println(
                "FAIL " + area + " " + name + ": " + e.toString().replace('\n', ' '));
        }
    }

    static void none(String why) {
        System.out.println("none " + area + ": " + why);
    }

    static void equal(Object wanted, Object seen) {
        boolean same = wanted instanceof byte[] && seen instanceof byte[]
            ? Arrays.equals((byte[]) wanted, (byte[]) seen)
            : Objects.equals(wanted, seen);
        if (!same) {
            throw new AssertionError("wanted " + wanted + ", seen " + seen);
        }
    }

    static void isTrue(String what, boolean condition) {
        if (!condition) {
            throw new AssertionError("not so: " + what);
        }
    }

    /** A call that must be refused with this code. */
    static void refused(KeeperException.Code code, Callable<?> call) throws Exception {
        Object result;
        try {
            result = call.call();
        } catch (KeeperException e) {
            equal(code, e.code());
            return;
        }
        throw new AssertionError("wanted " + code + ", got " + result);
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
        while (!condition.call()) {
            isTrue(what + " in time", System.nanoTime() < deadline);
            Thread.sleep(50);
        }
    }

    /** Asks whoever runs this program to do something to the servers. */
    static String ask(String request) throws Exception {
        System.out.println("? " + request);
        return ANSWERS.readLine();
    }

    /** The host list that begins with another member. */
    static String otherHosts() {
        int comma = HOSTS.indexOf(',');
        return HOSTS.substring(comma + 1) + "," + HOSTS.substring(0, comma);
    }
}
