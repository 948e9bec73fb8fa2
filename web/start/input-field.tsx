import type { JSX } from 'preact';
import type { InputSpec } from './draft.ts';
import { Field } from './field.tsx';

interface InputFieldProps {
  name: string;
  spec: InputSpec;
  value: string | boolean;
  error: string | undefined;
  change: (value: string | boolean) => void;
}

/** Texts that may be longer than this get room for several lines. */
const ONE_LINE = 120;

/** What a workflow asks for, in the control that fits its type. */
export function InputField({ name, spec, value, error, change }: InputFieldProps): JSX.Element {
  const isOptional = spec.optional === true || spec.default !== undefined;
  if (spec.type === 'boolean')
    return (
      <Field name={name} hint={spec.description ?? ''} error={error}>
        {(control) => (
          <input
            {...control}
            type="checkbox"
            checked={value === true}
            onChange={({ currentTarget }) => change(currentTarget.checked)}
          />
        )}
      </Field>
    );
  const hint = [spec.description ?? '', limitsOf(spec)].filter((part) => part !== '').join(' ');
  return (
    <Field name={name} isOptional={isOptional} hint={hint} error={error}>
      {(control) => {
        const props = {
          ...control,
          value: String(value),
          'aria-required': !isOptional,
          onInput: ({ currentTarget }: { currentTarget: { value: string } }) => change(currentTarget.value),
        };
        if (spec.enum !== undefined)
          return (
            <select {...props}>
              {[...(spec.default === undefined ? [''] : []), ...spec.enum].map((each) => (
                <option key={each} value={each}>
                  {each === '' ? 'Choose one' : each}
                </option>
              ))}
            </select>
          );
        if (spec.type === 'number') return <input {...props} type="number" step="any" />;
        return (spec.maxLength ?? Number.POSITIVE_INFINITY) > ONE_LINE ? (
          <textarea {...props} rows={4} />
        ) : (
          <input {...props} />
        );
      }}
    </Field>
  );
}

/** What will do, said before it is sent. */
function limitsOf({ type, minLength = 0, maxLength, minimum, maximum, enum: choices }: InputSpec): string {
  if (choices !== undefined) return '';
  const unit = type === 'string' ? ' characters' : '';
  const [least, most] = type === 'string' ? [minLength === 0 ? undefined : minLength, maxLength] : [minimum, maximum];
  if (least !== undefined && most !== undefined) return `${least.toLocaleString()} to ${most.toLocaleString()}${unit}.`;
  if (least !== undefined) return `At least ${least.toLocaleString()}${unit}.`;
  return most === undefined ? '' : `At most ${most.toLocaleString()}${unit}.`;
}
