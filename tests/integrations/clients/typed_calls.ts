// Calls a model and an admin command with the clients that were generated for both ports. It is
// compiled first, so an answer without types is an error.
import { client as admin } from "./admin/client.gen";
import { promote, status } from "./admin/sdk.gen";
import { client as predictions } from "./predictions/client.gen";
import { inferDigits } from "./predictions/sdk.gen";

async function main(url: string, adminUrl: string, token: string) {
  predictions.setConfig({ baseUrl: url });
  admin.setConfig({ baseUrl: adminUrl, auth: () => token });
  const data = Array.from({ length: 64 }, (_, at) => at / 63);
  const answer = await inferDigits({
    body: { inputs: [{ name: "features", shape: [1, 64], datatype: "FP32", data }] },
    throwOnError: true,
  });
  const version: string = answer.data.model_version;
  const path = { model: "digits", version: "1" };
  const done = await promote({ path, body: { reason: "a typed client" }, throwOnError: true });
  const stable: number = done.data.aliases["stable"];
  const now = await status({ throwOnError: true });
  const names: string[] = now.data.models.map((model) => model.name);
  console.log(JSON.stringify({ version, stable, names }));
}

const [, , url, adminUrl, token] = process.argv;
main(url, adminUrl, token).catch((error) => {
  console.error(error);
  process.exit(1);
});
